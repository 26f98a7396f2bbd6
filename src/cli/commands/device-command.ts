/** `bramble device command`, `commands`, `cancel`, `requeue`, `resend`: commands to a device, and its queue. */
import type { Command } from 'commander';
import * as z from 'zod';
import {
  type ChangedCommands,
  deviceCommandOperations,
  type OperatorCommand,
  operatorCommand,
  type ResendableItem,
  resendableItems,
} from '../../api/device-commands.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { timeText } from '../../base/time-text.ts';
import { collectTexts, fileBytes, number, unvalidated } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { afterText } from '../paging-words.ts';
import { cell, columns, moreText } from '../text-output.ts';

const commands = operatorCommand.options.map(({ shape: { requestType, ...parameters } }) => ({
  name: requestType.value,
  parameters: Object.entries<z.ZodType>(parameters).map(([name, { description }]) =>
    description === undefined ? name : `${name} (${description})`,
  ),
}));
const nameWidth = Math.max(...commands.map(({ name }) => name.length));
const parameterHelp = [
  '\nParameters (payload=@FILE stands for the file in base64):',
  ...commands.map(({ name, parameters }) => `  ${name.padEnd(nameWidth)}  ${parameters.join(', ') || 'none'}`),
].join('\n');

export function addQueueCommand(devices: Command, frame: Frame): void {
  example(
    devices
      .command('command <id> <type>')
      .addHelpText('after', parameterHelp)
      .description(`queue a command: ${commands.map(({ name }) => name).join(', ')}`)
      .option('--parameter <name=value>', 'a parameter of the command, may be repeated', collectTexts, {})
      .action(async (id: string, type: string, flags: { parameter: Record<string, unknown> }, command) => {
        // The service checks parameters, and says what each command takes.
        const body = { ...parametersOf(flags.parameter), requestType: type } as OperatorCommand;
        await frame.ask(
          command,
          deviceCommandOperations.queue,
          { params: { id }, body },
          (answer) => `${type} is queued as ${answer.commandUuid}.`,
        );
      }),
    'bramble device command 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 DeviceLock --parameter message="Call us"',
    'bramble device command 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 InstallProfile --parameter payload=@wifi.mobileconfig',
  );
}

/** `payload=@file` stands for the file in base64. */
function parametersOf(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const payload = given['payload'];
  if (typeof payload !== 'string' || !payload.startsWith('@')) return { ...given };
  return { ...given, payload: fileBytes(payload.slice(1)).toString('base64') };
}

export function addListCommand(devices: Command, frame: Frame): void {
  example(
    devices
      .command('commands <id>')
      .description('list the newest commands of a device')
      .option('--after <next>', afterText)
      .option('--limit <number>', 'maximum number of commands', number, 50)
      .action(async (id: string, query: { after?: string; limit: number }, command) => {
        await frame.ask(
          command,
          deviceCommandOperations.list,
          { params: { id }, query },
          (answer, style) =>
            columns(style, answer.commands, {
              command: (row) => row.commandUuid,
              type: (row) => row.requestType,
              state: (row) => row.state,
              queued: (row) => timeText(row.queuedAt),
              sent: (row) => String(row.sentCount),
              unanswered: (row) => String(row.unanswered),
              answered: (row) => timeText(row.answeredAt),
              answer: (row) => answerText(row.answer),
            }) + moreText(style, '--after', answer.next),
        );
      }),
    'bramble device commands 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
  );
}

/** Of a device's answer. */
const chainedError = z.object({
  ErrorCode: z.unknown(),
  ErrorDomain: z.string().optional(),
  USEnglishDescription: z.string().optional(),
  LocalizedDescription: z.string().optional(),
});

/** Why a command failed, or which data it returned; `--json` has all of it. */
function answerText(answer: Readonly<Record<string, unknown>> | null): string {
  if (answer === null) return '-';
  const [first] = z.array(chainedError).catch([]).parse(answer['ErrorChain']);
  if (first !== undefined) {
    const text = first.USEnglishDescription ?? first.LocalizedDescription;
    return `${first.ErrorDomain ?? 'error'} ${first.ErrorCode ?? '?'}${text === undefined ? '' : `: ${text}`}`;
  }
  return cell(Object.keys(answer).filter((name) => !['Status', 'CommandUUID', 'UDID'].includes(name)));
}

export function addCancelCommand(devices: Command, frame: Frame): void {
  example(
    devices
      .command('cancel <id>')
      .description('cancel the unsettled commands of a device; the deliveries they carry fail')
      .option('--command <command>', 'only this one')
      .option(
        '--handed-out',
        'also commands that the device has already received; it may still execute them, and its answer is ignored',
        false,
      )
      .action(async (id: string, flags: { command?: string; handedOut: boolean }, command) => {
        const query = flags.handedOut ? { handedOut: 'true' } : {};
        if (flags.command !== undefined) {
          const done = () => `The command was cancelled. ${afterCancelling(id)}`;
          await frame.ask(command, deviceCommandOperations.cancel, { params: { id: flags.command }, query }, done);
          return;
        }
        await frame.ask(command, deviceCommandOperations.cancelOfDevice, { params: { id }, query }, (answer) =>
          cancelledText(id, answer, flags.handedOut),
        );
      }),
    'bramble device cancel 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 --handed-out',
    'bramble device cancel 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 --command 0b6f6a52-8a55-4a8e-9d3c-7c7d2f7f5678',
  );
}

function cancelledText(id: string, { commands, deliveries }: ChangedCommands, handedOut: boolean): string {
  if (commands + deliveries === 0) {
    return handedOut
      ? 'There was nothing to cancel.'
      : 'There was nothing to cancel. Commands that the device has already received are cancelled only with ' +
          '--handed-out.';
  }
  const cancelled = `Cancelled ${counted(commands, 'command')}`;
  if (deliveries === 0) return `${cancelled}.`;
  return `${cancelled}; ${counted(deliveries, 'delivery')} ended as failed. ${afterCancelling(id)}`;
}

function afterCancelling(id: string): string {
  return (
    `The contents of a cancelled delivery are sent again when they next change; \`bramble device resend ${id} ` +
    'ITEM` sends them at once.'
  );
}

interface RequeueFlags {
  command?: string;
  silent: boolean;
}

export function addRequeueCommand(devices: Command, frame: Frame): void {
  example(
    devices
      .command('requeue [id]')
      .description('put unsettled commands back into the queue, as if they had never been handed out')
      .option('--command <command>', 'only this one')
      .option('--silent', 'all budgeted commands that silent devices of the domain have received', false)
      .action(async (id: string | undefined, { command: commandId, silent }: RequeueFlags, command) => {
        if (silent ? (id ?? commandId) !== undefined : (id ?? commandId) === undefined) {
          const what = 'Give a device or `--command`, or `--silent` alone for all silent devices.';
          throw new BrambleError('ERR_INPUT', what);
        }
        if (silent) await frame.ask(command, deviceCommandOperations.requeueSilent, {}, requeuedText);
        else if (commandId !== undefined) {
          await frame.ask(command, deviceCommandOperations.requeue, { params: { id: commandId } }, requeuedText);
        } else if (id !== undefined) {
          await frame.ask(command, deviceCommandOperations.requeueOfDevice, { params: { id } }, requeuedText);
        }
      }),
    'bramble device requeue 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
    'bramble device requeue --silent',
  );
}

function requeuedText({ commands, deliveries }: ChangedCommands): string {
  return (
    `${counted(commands, 'command is waiting for its device', 'commands are waiting for their devices')} again; ` +
    `${counted(deliveries, 'delivery')} freed their slots.`
  );
}

export function addResendCommand(devices: Command, frame: Frame): void {
  example(
    devices
      .command('resend <id> <item>')
      .description(
        `send one of ${resendableItems.join(', ')} again, regardless of the budget; device-identity renews the certificate`,
      )
      .action(async (id: string, item: string, _flags: object, command) => {
        const request = { params: { id }, body: { item: unvalidated<ResendableItem>(item) } };
        await frame.ask(command, deviceCommandOperations.resend, request, () => `${item} will be sent again.`);
      }),
    'bramble device resend 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 service-books',
  );
}
