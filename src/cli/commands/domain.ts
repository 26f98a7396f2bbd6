/** `bramble push`. */
import type { Command } from 'commander';
import { type PushView, pushOperations } from '../../api/push.ts';
import { counted } from '../../base/counted.ts';
import { timeText } from '../../base/time-text.ts';
import { collectValues, fileText } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { cell, facts, type Style } from '../text-output.ts';

export function addDomainCommands(program: Command, frame: Frame): void {
  addPush(program, frame);
}

interface PushFlags {
  certificate?: string;
  key?: string;
  set: Record<string, unknown>;
  yes?: true;
}

function addPush(program: Command, frame: Frame): void {
  example(
    confirmable(program.command('push'))
      .description('show or set the push service that wakes devices')
      .option(
        '--certificate <file>',
        'PEM file with the push certificate; its topic becomes the domain’s permanently',
        fileText,
      )
      .option('--key <file>', 'PEM file with the private key of the certificate, without a passphrase', fileText)
      .option(
        '--set <name=value>',
        'url, caPem, certificatePem or privateKeyPem; null removes a setting, others stay as they are',
        collectValues,
        {},
      )
      .action(async (flags: PushFlags, command) => {
        const body = changeOf(flags);
        if (Object.keys(body).length === 0) {
          await frame.ask(command, pushOperations.show, {}, pushText);
          return;
        }
        if (!flags.yes && 'certificatePem' in body) {
          const client = await frame.client(command);
          const preview = await client.call(pushOperations.change, { query: { preview: 'true' }, body });
          await confirm(frame, certificateQuestion(preview));
        }
        await frame.ask(command, pushOperations.change, { body }, pushText);
      }),
    'bramble push --certificate push.pem --key push-key.pem',
    'bramble push --set url=https://relay.example.org',
  );
}

function changeOf({ set, certificate, key }: PushFlags): Record<string, unknown> {
  return {
    ...set,
    ...(certificate === undefined ? {} : { certificatePem: certificate }),
    ...(key === undefined ? {} : { privateKeyPem: key }),
  };
}

/** The effects of setting this certificate, as previewed by the service, which refuses one that cannot be set. */
function certificateQuestion({ certificate, topic, topicFixed, mustEnrolAgain }: PushView): string {
  if (certificate === null) return 'The push certificate will be removed: no device can be woken then. Continue?';
  return [
    `The push certificate is for the topic ${topic}, issued by ${issuerText(certificate)}, valid until ${timeText(certificate.expiresAt)}.`,
    topicFixed
      ? 'It replaces the current one, which has the same topic.'
      : 'Its topic becomes this domain’s permanently: a certificate for another topic will never be accepted.',
    ...(mustEnrolAgain > 0
      ? [`${counted(mustEnrolAgain, 'device')} enrolled under another topic cannot be woken and must enrol again.`]
      : []),
    'Set it?',
  ].join('\n');
}

function issuerText({ issuer, selfSigned }: { issuer: string; selfSigned: boolean }): string {
  return selfSigned ? 'itself (self-signed: no vendor’s push service accepts that)' : issuer;
}

function pushText(push: PushView, style: Style): string {
  const { certificate, topic, topicFixed, mustEnrolAgain } = push;
  const rows: [string, string][] = [
    ['url', push.url],
    ['own authority', cell(push.hasOwnAuthority)],
    [
      'certificate',
      certificate === null
        ? cell(push.hasCertificate)
        : `issued by ${issuerText(certificate)}, valid until ${timeText(certificate.expiresAt)}`,
    ],
    ['topic', topicFixed ? topic : `${topic} (a placeholder until a certificate is set)`],
  ];
  if (mustEnrolAgain > 0) {
    const devices = `${counted(mustEnrolAgain, 'device')} under another topic: bramble device list --must-enrol-again`;
    rows.push(['must enrol again', devices]);
  }
  return facts(style, rows);
}
