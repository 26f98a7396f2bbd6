/** `bramble device`: devices and how their management ends; device-command.ts has the rest. */
import type { Command } from 'commander';
import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { number } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame, query, segment } from '../frame.ts';
import { cell, facts, type Style, table, timeText } from '../text-output.ts';
import { addResendCommand, addSendingCommands, addUnsettledCommands } from './device-command.ts';

const device = z.object({
  id: z.string(),
  account: z.string(),
  instance: z.string(),
  platform: z.string(),
  state: z.string(),
  model: z.string().nullable(),
  serialNumber: z.string().nullable(),
  osVersion: z.string().nullable(),
  softwareVersion: z.string().nullable(),
  lastSeenAt: z.string().nullable(),
  pendingCommands: z.number(),
  unansweredCommands: z.number(),
  mustEnrolAgain: z.boolean().default(false),
  repeatedMessages: z.number(),
  openDeliveries: z.number(),
  identityExpiresAt: z.string().nullable().default(null),
  identityRenewal: z.object({ state: z.string(), text: z.string() }).nullable().default(null),
});

const tlsCounts = z.object({ required: z.number(), counting: z.number() });

interface DeviceListFlags {
  account?: string;
  state?: string;
  unanswered?: boolean;
  mustEnrolAgain?: boolean;
  identityEnds?: number;
  after?: string;
  limit: number;
}

export function addDeviceCommands(program: Command, frame: Frame): void {
  const devices = program.command('device').alias('devices').description('devices under management');
  addListingCommands(devices, frame);
  addEndingCommands(devices, frame);
  addSendingCommands(devices, frame);
  addUnsettledCommands(devices, frame);
  addResendCommand(devices, frame);
}

function addListingCommands(devices: Command, frame: Frame): void {
  example(
    devices
      .command('list')
      .description('list devices')
      .option('--account <name>', 'only of this account')
      .option(
        '--state <state>',
        'only in this state: offered, certified, authenticated, active, suspended, leaving, gone',
      )
      .option('--unanswered', 'only those that were handed a command again and again without answering')
      .option('--must-enrol-again', 'only those that know a push topic that is not the domain’s any more')
      .option('--identity-ends <days>', 'only those whose identity ends within so many days, or has ended', number)
      .option('--after <id>', 'go on after this device')
      .option('--limit <number>', 'at most so many', number, 200)
      .action(async (flags: DeviceListFlags, command) => {
        const { unanswered, mustEnrolAgain, identityEnds, ...filter } = flags;
        const only = {
          unanswered: unanswered ? 'true' : undefined,
          mustEnrolAgain: mustEnrolAgain ? 'true' : undefined,
          identityEndsWithinDays: identityEnds,
        };
        await frame.ask(command, {
          path: `/devices${query({ ...filter, ...only })}`,
          shape: z.object({ devices: z.array(device), next: z.string().nullable() }),
          text: (page, style) =>
            table(
              style,
              [
                'id',
                'account',
                'instance',
                'platform',
                'software',
                'state',
                'last seen',
                'commands',
                'deliveries',
                'repeated',
                'identity ends',
              ],
              page.devices.map((row) => [
                row.id,
                row.account,
                row.instance,
                row.platform,
                cell(row.softwareVersion ?? row.osVersion),
                row.mustEnrolAgain ? style.yellow(`${row.state}, must enrol again`) : row.state,
                timeText(row.lastSeenAt),
                row.unansweredCommands === 0
                  ? String(row.pendingCommands)
                  : style.yellow(`${row.pendingCommands}, unanswered`),
                String(row.openDeliveries),
                row.repeatedMessages === 0 ? '-' : style.yellow(String(row.repeatedMessages)),
                identityText(row, style),
              ]),
            ) + (page.next === null ? '' : `\n${style.dim(`There are more: --after ${page.next}`)}`),
        });
      }),
    'bramble device list --account ada',
  );

  example(
    devices
      .command('show <id>')
      .description('show a device with its options and inventory')
      .action(async (id: string, _flags: object, command) => {
        await frame.ask(command, {
          path: `/devices/${segment(id)}`,
          shape: z.record(z.string(), z.unknown()),
          text: (answer, style) =>
            facts(
              style,
              Object.entries(answer).map(([key, value]) => [
                key,
                key === 'identityRenewal' ? renewalText(value) : isTime(value) ? timeText(value) : cell(value),
              ]),
            ),
        });
      }),
    'bramble device show 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
  );
}

/** The day, and what is being done about it. */
function identityText(
  { identityExpiresAt, identityRenewal }: Pick<z.output<typeof device>, 'identityExpiresAt' | 'identityRenewal'>,
  style: Style,
): string {
  const day = identityExpiresAt?.slice(0, 10) ?? '-';
  if (identityRenewal === null || identityRenewal.state === 'not-due') return day;
  const text = `${day}, renewal ${identityRenewal.state}`;
  return identityRenewal.state === 'failed' ? style.yellow(text) : text;
}

function renewalText(value: unknown): string {
  const renewal = device.shape.identityRenewal.safeParse(value).data;
  return renewal ? `${renewal.state}: ${renewal.text}` : '-';
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && z.iso.datetime().safeParse(value).success;
}

function addEndingCommands(devices: Command, frame: Frame): void {
  example(
    confirmable(devices.command('remove <id>'))
      .description('end the management of a device; by default it is told, and leaves when it comes')
      .option('--tell', 'have it remove its enrolment profile, and end the enrolment when it answers (the default)')
      .option('--silent', 'end the enrolment at once and refuse the device; what is installed on it stays')
      .action(async (id: string, flags: { tell?: true; silent?: true; yes?: true }, command) => {
        if (flags.tell && flags.silent) throw new BrambleError('ERR_USAGE', 'Give --tell or --silent, not both.');
        const does = flags.silent
          ? 'is refused from now on, and keeps what is installed on it'
          : 'is told to leave, and loses what its enrolment profile brought';
        if (!flags.yes) {
          const rest = await frame.rest(command);
          const { account, model, serialNumber } = device.parse(await rest.send('GET', `/devices/${segment(id)}`));
          const which = `${model ?? 'a device of unknown model'}, serial number ${serialNumber ?? 'unknown'}`;
          await confirm(frame, `The device of ${account} (${which}; ${id}) ${does}. Remove it?`);
        }
        await frame.ask(command, {
          method: 'DELETE',
          path: `/devices/${segment(id)}?tell=${flags.silent ? 'false' : 'true'}`,
          shape: z.object({ state: z.string(), endsAt: z.string().nullable(), toldWhenItComes: z.boolean() }),
          text: ({ state, endsAt, toldWhenItComes }) => {
            if (state === 'leaving') {
              return `The device is told to leave when it comes; its enrolment ends then, or at ${timeText(endsAt)}.`;
            }
            return toldWhenItComes
              ? 'The enrolment has ended; a device that comes with it is told to leave.'
              : 'The enrolment has ended; a device that comes with it is refused.';
          },
        });
      }),
    'bramble device remove 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
    'bramble device remove 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 --silent --yes',
  );

  example(
    confirmable(devices.command('clear-tls [id]'))
      .description('let a device, or all, identify themselves by signature alone until they use TLS on three more days')
      .option('--all', 'all devices: where a proxy ends TLS in front of the routers from now on')
      .action(async (id: string | undefined, flags: { all?: true; yes?: true }, command) => {
        if ((id === undefined) === (flags.all === undefined)) {
          throw new BrambleError('ERR_USAGE', 'Name a device, or give --all.');
        }
        if (id !== undefined) {
          await frame.ask(command, {
            method: 'DELETE',
            path: `/devices/${segment(id)}/tls-identity`,
            shape: z.null(),
            text: () => 'The device may identify itself by signature alone again.',
          });
          return;
        }
        if (!flags.yes) {
          const rest = await frame.rest(command);
          const { required, counting } = tlsCounts.parse(await rest.send('GET', '/tls-identities'));
          await confirm(
            frame,
            `${counted(required, 'device')} held to TLS may identify themselves by signature alone again, which can be ` +
              `replayed, until used on three more days; ${counting} more begin to count anew. Go on?`,
          );
        }
        await frame.ask(command, {
          method: 'DELETE',
          path: '/tls-identities',
          shape: z.object({ devices: z.number() }),
          text: ({ devices: cleared }) =>
            `${counted(cleared, 'device')} may identify themselves by signature alone again.`,
        });
      }),
    'bramble device clear-tls 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
    'bramble device clear-tls --all --yes',
  );
}
