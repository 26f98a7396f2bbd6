/** `bramble events`, `bramble push`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { collectValues, fileText, number } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame, query } from '../frame.ts';
import { cell, facts, type Style, table, timeText } from '../text-output.ts';

const pushShape = z.object({
  url: z.string(),
  hasOwnAuthority: z.boolean(),
  hasCertificate: z.boolean(),
  certificate: z.object({ issuer: z.string(), selfSigned: z.boolean(), expiresAt: z.string() }).nullable(),
  topic: z.string(),
  topicFixed: z.boolean(),
  mustEnrolAgain: z.number(),
});

interface PushFlags {
  certificate?: string;
  key?: string;
  set: Record<string, unknown>;
  yes?: true;
}

export function addDomainCommands(program: Command, frame: Frame): void {
  example(
    program
      .command('events')
      .description('what happened, newest first')
      .option('--limit <number>', 'at most so many', number, 50)
      .action(async (flags: { limit: number }, command) => {
        await frame.ask(command, {
          path: `/events${query({ limit: flags.limit })}`,
          shape: z.object({
            events: z.array(z.object({ at: z.string(), kind: z.string(), message: z.string() })),
          }),
          text: (answer, style) =>
            table(
              style,
              ['time', 'kind', 'what happened'],
              answer.events.map((row) => [timeText(row.at), row.kind, row.message]),
            ),
        });
      }),
    'bramble events --limit 20',
  );

  example(
    confirmable(program.command('push'))
      .description('show or set the push service that wakes devices')
      .option(
        '--certificate <file>',
        'PEM file with the push certificate; its topic becomes the domain’s for good',
        fileText,
      )
      .option('--key <file>', 'PEM file with the private key of the certificate, without a passphrase', fileText)
      .option(
        '--set <name=value>',
        'url, caPem, certificatePem or privateKeyPem; what is not named stays, null takes it away',
        collectValues,
        {},
      )
      .action(async (flags: PushFlags, command) => {
        const body = {
          ...flags.set,
          ...(flags.certificate === undefined ? {} : { certificatePem: flags.certificate }),
          ...(flags.key === undefined ? {} : { privateKeyPem: flags.key }),
        };
        if (!flags.yes && 'certificatePem' in body)
          await confirm(frame, await certificateQuestion(frame, command, body));
        await frame.ask(command, {
          ...(Object.keys(body).length > 0 ? { method: 'PATCH', body } : {}),
          path: '/push',
          shape: pushShape,
          text: pushText,
        });
      }),
    'bramble push --certificate push.pem --key push-key.pem',
    'bramble push --set url=https://relay.example.org',
  );
}

/** What setting this certificate does, as the service says beforehand; it refuses one that cannot be set. */
async function certificateQuestion(frame: Frame, command: Command, body: object): Promise<string> {
  const rest = await frame.rest(command);
  const { certificate, topic, topicFixed, mustEnrolAgain } = pushShape.parse(
    await rest.send('PATCH', '/push?preview=true', body),
  );
  if (certificate === null) return 'The push certificate is taken away: no device can be woken. Go on?';
  return [
    `The push certificate is for the topic ${topic}, issued by ${issuerText(certificate)}, valid until ${timeText(certificate.expiresAt)}.`,
    topicFixed
      ? 'It replaces the one that is set, for the same topic.'
      : 'Its topic becomes this domain’s for good: a certificate for another topic will never be taken.',
    ...(mustEnrolAgain > 0
      ? [`${counted(mustEnrolAgain, 'device')} enrolled under another topic cannot be woken and must enrol again.`]
      : []),
    'Set it?',
  ].join('\n');
}

function issuerText({ issuer, selfSigned }: { issuer: string; selfSigned: boolean }): string {
  return selfSigned ? 'itself (self-signed: no vendor’s push service takes that)' : issuer;
}

function pushText(push: z.output<typeof pushShape>, style: Style): string {
  return facts(style, [
    ['url', push.url],
    ['own authority', cell(push.hasOwnAuthority)],
    [
      'certificate',
      push.certificate === null
        ? cell(push.hasCertificate)
        : `issued by ${issuerText(push.certificate)}, valid until ${timeText(push.certificate.expiresAt)}`,
    ],
    ['topic', push.topicFixed ? push.topic : `${push.topic} (made up, until a certificate is set)`],
    ...(push.mustEnrolAgain > 0
      ? [
          [
            'must enrol again',
            `${counted(push.mustEnrolAgain, 'device')} under another topic: bramble device list --must-enrol-again`,
          ] as [string, string],
        ]
      : []),
  ]);
}
