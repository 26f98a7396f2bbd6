/** `bramble device`. */
import type { Command } from 'commander';
import { z } from 'zod';
import { collectValues, number } from '../arguments.ts';
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
  openDeliveries: z.number(),
});

export function addDeviceCommands(program: Command, frame: Frame): void {
  const devices = program.command('device').alias('devices').description('devices under management');

  example(
    devices
      .command('list')
      .description('list devices')
      .option('--account <name>', 'only of this account')
      .option('--state <state>', 'only in this state: offered, certified, authenticated, active, gone')
      .option('--after <id>', 'go on after this device')
      .option('--limit <number>', 'at most so many', number, 200)
      .action(async (flags: { account?: string; state?: string; after?: string; limit: number }, command) => {
        await frame.ask(command, {
          path: `/devices${query(flags)}`,
          shape: z.object({ devices: z.array(device), next: z.string().nullable() }),
          text: (page, style) =>
            table(
              style,
              ['id', 'account', 'instance', 'platform', 'software', 'state', 'last seen', 'commands', 'deliveries'],
              page.devices.map((row) => [
                row.id,
                row.account,
                row.instance,
                row.platform,
                cell(row.softwareVersion ?? row.osVersion),
                row.state,
                timeText(row.lastSeenAt),
                String(row.pendingCommands),
                String(row.openDeliveries),
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
                answeredAt: z.string().nullable(),
              }),
            ),
          }),
          text: (answer, style) =>
            table(
              style,
              ['command', 'type', 'state', 'queued', 'sent', 'answered'],
              answer.commands.map((row) => [
                row.commandUuid,
                row.requestType,
                row.state,
                timeText(row.queuedAt),
                String(row.sentCount),
                timeText(row.answeredAt),
              ]),
            ),
        });
      }),
    'bramble device commands 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
  );

  example(
    devices
      .command('cancel <command>')
      .description('cancel a command that was not handed out yet')
      .action(async (id: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'DELETE',
          path: `/commands/${segment(id)}`,
          shape: z.null(),
          text: () => 'The command was cancelled.',
        });
      }),
    'bramble device cancel 0b6f6a52-8a55-4a8e-9d3c-7c7d2f7f5678',
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
