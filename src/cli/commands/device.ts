/** `bramble device`. */
import type { Command } from 'commander';
import { z } from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { collectValues, number } from '../arguments.ts';
import { confirm } from '../confirmation.ts';
import { example, type Frame, query, segment } from '../frame.ts';
import { cell, facts, table, timeText } from '../text-output.ts';

const device = z.object({
  id: z.string(),
  account: z.string(),
  instance: z.string(),
  platform: z.string(),
  state: z.string(),
  model: z.string().nullable(),
  osVersion: z.string().nullable(),
  softwareVersion: z.string().nullable(),
  lastSeenAt: z.string().nullable(),
  pendingCommands: z.number(),
  unansweredCommands: z.number(),
  mustEnrolAgain: z.boolean().default(false),
  repeatedMessages: z.number(),
  openDeliveries: z.number(),
});

interface DeviceListFlags {
  account?: string;
  state?: string;
  unanswered?: boolean;
  mustEnrolAgain?: boolean;
  after?: string;
  limit: number;
}

const changedCommands = z.object({ commands: z.number(), deliveries: z.number() });

export function addDeviceCommands(program: Command, frame: Frame): void {
  const devices = program.command('device').alias('devices').description('devices under management');

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
      .option('--after <id>', 'go on after this device')
      .option('--limit <number>', 'at most so many', number, 200)
      .action(async (flags: DeviceListFlags, command) => {
        const { unanswered, mustEnrolAgain, ...filter } = flags;
        const only = {
          unanswered: unanswered ? 'true' : undefined,
          mustEnrolAgain: mustEnrolAgain ? 'true' : undefined,
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
              Object.entries(answer).map(([key, value]) => [key, cell(value)]),
            ),
        });
      }),
    'bramble device show 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
  );

  example(
    devices
      .command('remove <id>')
      .description('end the management of a device; by default it is told, and leaves when it comes')
      .option('--tell', 'have it remove its enrolment profile, and end the enrolment when it answers (the default)')
      .option('--silent', 'end the enrolment at once and refuse the device; what is installed on it stays')
      .option('--yes', 'do not ask')
      .action(async (id: string, flags: { tell?: true; silent?: true; yes?: true }, command) => {
        if (flags.tell && flags.silent) throw new BrambleError('ERR_USAGE', 'Give --tell or --silent, not both.');
        const does = flags.silent
          ? 'is refused from now on, and keeps what is installed on it'
          : 'is told to leave, and loses what its enrolment profile brought';
        if (!flags.yes) await confirm(frame, `The device ${id} ${does}. Remove it?`);
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
    devices
      .command('clear-tls [id]')
      .description('let a device, or all, identify themselves by signature alone until they use TLS on three more days')
      .option('--all', 'all devices: where a proxy ends TLS in front of the routers from now on')
      .action(async (id: string | undefined, flags: { all?: true }, command) => {
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
        await frame.ask(command, {
          method: 'DELETE',
          path: '/tls-identities',
          shape: z.object({ devices: z.number() }),
          text: ({ devices: cleared }) => `${cleared} devices may identify themselves by signature alone again.`,
        });
      }),
    'bramble device clear-tls 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
    'bramble device clear-tls --all',
  );

  example(
    devices
      .command('command <id> <type>')
      .description('queue DeviceLock, DeviceInformation, ProfileList, InstallProfile or RemoveProfile')
      .option('--parameter <name=value>', 'a parameter of the command, may be repeated', collectValues, {})
      .action(async (id: string, type: string, flags: { parameter: Record<string, unknown> }, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: `/devices/${segment(id)}/commands`,
          body: { ...flags.parameter, requestType: type },
          shape: z.object({ commandUuid: z.string() }),
          text: (answer) => `${type} is queued as ${answer.commandUuid}.`,
        });
      }),
    'bramble device command 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 DeviceLock --parameter message="Call us"',
  );

  example(
    devices
      .command('commands <id>')
      .description('list the newest commands of a device')
      .option('--limit <number>', 'at most so many', number, 50)
      .action(async (id: string, flags: { limit: number }, command) => {
        await frame.ask(command, {
          path: `/devices/${segment(id)}/commands${query({ limit: flags.limit })}`,
          shape: z.object({
            commands: z.array(
              z.object({
                commandUuid: z.string(),
                requestType: z.string(),
                state: z.string(),
                queuedAt: z.string(),
                sentCount: z.number(),
                unanswered: z.number(),
                answeredAt: z.string().nullable(),
              }),
            ),
          }),
          text: (answer, style) =>
            table(
              style,
              ['command', 'type', 'state', 'queued', 'sent', 'unanswered', 'answered'],
              answer.commands.map((row) => [
                row.commandUuid,
                row.requestType,
                row.state,
                timeText(row.queuedAt),
                String(row.sentCount),
                String(row.unanswered),
                timeText(row.answeredAt),
              ]),
            ),
        });
      }),
    'bramble device commands 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
  );

  example(
    devices
      .command('cancel <id>')
      .description('cancel the commands of a device that are not settled; deliveries that they carry fail')
      .option('--command <command>', 'only this one')
      .option('--handed-out', 'also what the device has in hand; it may carry it out, its answer is ignored', false)
      .action(async (id: string, flags: { command?: string; handedOut: boolean }, command) => {
        const handedOut = query(flags.handedOut ? { handedOut: 'true' } : {});
        if (flags.command !== undefined) {
          await frame.ask(command, {
            method: 'DELETE',
            path: `/commands/${segment(flags.command)}${handedOut}`,
            shape: z.null(),
            text: () => `The command was cancelled. ${afterCancelling(id)}`,
          });
          return;
        }
        await frame.ask(command, {
          method: 'DELETE',
          path: `/devices/${segment(id)}/commands${handedOut}`,
          shape: changedCommands,
          text: ({ commands, deliveries }) =>
            `Cancelled ${commands} commands; ${deliveries} deliveries ended as failed. ${afterCancelling(id)}`,
        });
      }),
    'bramble device cancel 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 --handed-out',
    'bramble device cancel 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 --command 0b6f6a52-8a55-4a8e-9d3c-7c7d2f7f5678',
  );

  example(
    devices
      .command('requeue [id]')
      .description('put commands that are not settled back into the queue, as if they had not been handed out')
      .option('--command <command>', 'only this one')
      .option('--silent', 'what silent devices of the whole domain were handed under the budget', false)
      .action(async (id: string | undefined, flags: { command?: string; silent: boolean }, command) => {
        const target = requeueTarget(id, flags);
        await frame.ask(command, {
          method: 'POST',
          path: target,
          shape: changedCommands,
          text: ({ commands, deliveries }) =>
            `${commands} commands wait for their devices again; ${deliveries} deliveries gave back what they held.`,
        });
      }),
    'bramble device requeue 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
    'bramble device requeue --silent',
  );

  example(
    devices
      .command('resend <id> <item>')
      .description('send it-policy, service-books or synchronization again, not held back by the budget')
      .action(async (id: string, item: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: `/devices/${segment(id)}/resend`,
          body: { item },
          shape: z.object({ deliveriesOwed: z.number() }),
          text: () => `${item} will be sent again.`,
        });
      }),
    'bramble device resend 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 service-books',
  );
}

/** @throws BrambleError ERR_INPUT where it is not one of the three */
function requeueTarget(id: string | undefined, flags: { command?: string; silent: boolean }): string {
  if (flags.silent && id === undefined && flags.command === undefined) return '/commands/requeue-silent';
  if (flags.silent || (id === undefined && flags.command === undefined)) {
    throw new BrambleError('ERR_INPUT', 'Name a device, or `--command`, or all silent devices by `--silent` alone.');
  }
  if (flags.command !== undefined) return `/commands/${segment(flags.command)}/requeue`;
  return `/devices/${segment(id ?? '')}/commands/requeue`;
}

function afterCancelling(id: string): string {
  return (
    'What a cancelled delivery held is owed again when it changes next; ' +
    `\`bramble device resend ${id} ITEM\` sends it at once.`
  );
}
