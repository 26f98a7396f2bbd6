/** `bramble device command`, `commands`, `cancel`, `requeue`, `resend`: what is sent to a device, and its queue. */
import type { Command } from 'commander';
import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { collectValues, fileBytes, number } from '../arguments.ts';
import { example, type Frame, query, segment } from '../frame.ts';
import { cell, columns, timeText } from '../text-output.ts';

const chainedError = z.object({
  ErrorCode: z.unknown(),
  ErrorDomain: z.string().optional(),
  USEnglishDescription: z.string().optional(),
  LocalizedDescription: z.string().optional(),
});
const parameterHelp = `
Parameters:
  DeviceLock         pin (six digits, a computer's new password), message,
                     phoneNumber
  DeviceInformation  queries, as '["OSVersion","SerialNumber"]'
  ProfileList        none
  InstallProfile     payload: @file of a configuration profile, or base64
  RemoveProfile      identifier`;
const changedCommands = z.object({ commands: z.number(), deliveries: z.number() });

export function addSendingCommands(devices: Command, frame: Frame): void {
  example(
    devices
      .command('command <id> <type>')
      .addHelpText('after', parameterHelp)
      .description('queue DeviceLock, DeviceInformation, ProfileList, InstallProfile or RemoveProfile')
      .option('--parameter <name=value>', 'a parameter of the command, may be repeated', collectValues, {})
      .action(async (id: string, type: string, flags: { parameter: Record<string, unknown> }, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: `/devices/${segment(id)}/commands`,
          body: { ...parametersOf(flags.parameter), requestType: type },
          shape: z.object({ commandUuid: z.string() }),
          text: (answer) => `${type} is queued as ${answer.commandUuid}.`,
        });
      }),
    'bramble device command 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 DeviceLock --parameter message="Call us"',
    'bramble device command 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 InstallProfile --parameter payload=@wifi.mobileconfig',
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
                answer: z.record(z.string(), z.unknown()).nullable().default(null),
              }),
            ),
          }),
          text: (answer, style) =>
            columns(style, answer.commands, {
              command: (row) => row.commandUuid,
              type: (row) => row.requestType,
              state: (row) => row.state,
              queued: (row) => timeText(row.queuedAt),
              sent: (row) => String(row.sentCount),
              unanswered: (row) => String(row.unanswered),
              answered: (row) => timeText(row.answeredAt),
              answer: (row) => answerText(row.answer),
            }),
        });
      }),
    'bramble device commands 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
  );
}

export function addUnsettledCommands(devices: Command, frame: Frame): void {
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
          text: (answer) => cancelledText(id, answer, flags.handedOut),
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
            `${counted(commands, 'command waits for its device', 'commands wait for their devices')} again; ${counted(deliveries, 'delivery')} gave back what they held.`,
        });
      }),
    'bramble device requeue 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
    'bramble device requeue --silent',
  );
}

export function addResendCommand(devices: Command, frame: Frame): void {
  example(
    devices
      .command('resend <id> <item>')
      .description(
        'send it-policy, service-books, synchronization or device-identity (which renews it) again, not held back by the budget',
      )
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

function cancelledText(
  id: string,
  { commands, deliveries }: z.output<typeof changedCommands>,
  handedOut: boolean,
): string {
  if (commands + deliveries === 0) {
    return handedOut
      ? 'There was nothing to cancel.'
      : 'There was nothing to cancel. What the device has in hand is cancelled only with --handed-out.';
  }
  return `Cancelled ${counted(commands, 'command')}; ${counted(deliveries, 'delivery')} ended as failed. ${afterCancelling(id)}`;
}

/** Why a command failed, or which data came back; `--json` has all of it. */
function answerText(answer: Readonly<Record<string, unknown>> | null): string {
  if (answer === null) return '-';
  const [first] = z.array(chainedError).catch([]).parse(answer['ErrorChain']);
  if (first !== undefined) {
    const text = first.USEnglishDescription ?? first.LocalizedDescription;
    return `${first.ErrorDomain ?? 'error'} ${first.ErrorCode ?? '?'}${text === undefined ? '' : `: ${text}`}`;
  }
  return cell(Object.keys(answer).filter((name) => !['Status', 'CommandUUID', 'UDID'].includes(name)));
}

/** `payload=@file` stands for the file in base64. */
function parametersOf(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const payload = given['payload'];
  if (typeof payload !== 'string' || !payload.startsWith('@')) return { ...given };
  return { ...given, payload: fileBytes(payload.slice(1)).toString('base64') };
}

function afterCancelling(id: string): string {
  return (
    'What a cancelled delivery held is owed again when it changes next; ' +
    `\`bramble device resend ${id} ITEM\` sends it at once.`
  );
}
