/** `bramble events`, `bramble push`. */
import type { Command } from 'commander';
import { z } from 'zod';
import { collectValues, fileText, number } from '../arguments.ts';
import { example, type Frame, query } from '../frame.ts';
import { cell, facts, type Style, table, timeText } from '../text-output.ts';

const pushShape = z.object({
  url: z.string(),
  hasOwnAuthority: z.boolean(),
  hasCertificate: z.boolean(),
  topic: z.string(),
  topicFixed: z.boolean(),
  mustEnrolAgain: z.number(),
});

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
    program
      .command('push')
      .description('show or set the push service that wakes devices')
      .option(
        '--certificate <file>',
        'PEM file with the push certificate; its topic becomes the domain’s for good',
        fileText,
      )
      .option('--key <file>', 'PEM file with the private key of the certificate, without a passphrase', fileText)
      .option('--set <name=value>', 'url, caPem, certificatePem or privateKeyPem; replaces all', collectValues, {})
      .action(async (flags: { certificate?: string; key?: string; set: Record<string, unknown> }, command) => {
        const body = {
          ...flags.set,
          ...(flags.certificate === undefined ? {} : { certificatePem: flags.certificate }),
          ...(flags.key === undefined ? {} : { privateKeyPem: flags.key }),
        };
        await frame.ask(command, {
          ...(Object.keys(body).length > 0 ? { method: 'PUT', body } : {}),
          path: '/push',
          shape: pushShape,
          text: pushText,
        });
      }),
    'bramble push --certificate push.pem --key push-key.pem',
  );
}

function pushText(push: z.output<typeof pushShape>, style: Style): string {
  return facts(style, [
    ['url', push.url],
    ['own authority', cell(push.hasOwnAuthority)],
    ['certificate', cell(push.hasCertificate)],
    ['topic', push.topicFixed ? push.topic : `${push.topic} (made up, until a certificate is set)`],
    ...(push.mustEnrolAgain > 0
      ? [
          [
            'must enrol again',
            `${push.mustEnrolAgain} devices that know another topic: bramble device list --must-enrol-again`,
          ] as [string, string],
        ]
      : []),
  ]);
}
