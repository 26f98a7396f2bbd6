/** `bramble device`: devices and how their management ends; device-command.ts has the rest. */
import type { Command } from 'commander';
import * as z from 'zod';
import {
  type Device,
  type DeviceOrder,
  deviceOperations,
  deviceSorts,
  type ShownDeviceState,
  shownDeviceStates,
} from '../../api/devices.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { dayText, timesInText, timeText } from '../../base/time-text.ts';
import { number, unvalidated } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { afterText, orderText } from '../paging-words.ts';
import { cell, columns, facts, moreText, type Style } from '../text-output.ts';
import {
  addCancelCommand,
  addListCommand,
  addQueueCommand,
  addRequeueCommand,
  addResendCommand,
} from './device-command.ts';

export function addDeviceCommands(program: Command, frame: Frame): void {
  const devices = program.command('device').alias('devices').description('devices under management');
  addList(devices, frame);
  addShow(devices, frame);
  addRemove(devices, frame);
  addClearTls(devices, frame);
  addQueueCommand(devices, frame);
  addListCommand(devices, frame);
  addCancelCommand(devices, frame);
  addRequeueCommand(devices, frame);
  addResendCommand(devices, frame);
}

interface ListFlags {
  account?: string;
  instance?: string;
  group?: string;
  state?: string;
  platform?: string;
  model?: string;
  software?: string;
  sort?: DeviceOrder;
  unanswered?: boolean;
  mustEnrolAgain?: boolean;
  identityEnds?: number;
  after?: string;
  limit: number;
}

function addList(devices: Command, frame: Frame): void {
  example(
    devices
      .command('list')
      .description('list devices')
      .option('--account <name>', 'only of this account')
      .option('--instance <name>', 'only of accounts of this instance')
      .option('--group <name>', 'only of accounts in this group')
      .option('--state <state>', `only in this state: ${shownDeviceStates.join(', ')}`)
      .option('--platform <name>', 'only of this platform')
      .option('--model <name>', 'only of this model')
      .option('--software <version>', 'only with this version of software, or of the OS where it told no other')
      .option('--unanswered', 'only those that repeatedly received a command without answering')
      .option('--must-enrol-again', 'only those with a push topic that the domain no longer uses')
      .option(
        '--identity-ends <days>',
        'only those whose identity certificate expires within this many days, or has expired',
        number,
      )
      .option('--sort <order>', orderText(deviceSorts), unvalidated<DeviceOrder>)
      .option('--after <next>', afterText)
      .option('--limit <number>', 'maximum number of devices', number, 200)
      .action(async (flags: ListFlags, command) => {
        await frame.ask(
          command,
          deviceOperations.list,
          { query: filterOf(flags) },
          (page, style) => deviceTable(page.devices, style) + moreText(style, '--after', page.next),
        );
      }),
    'bramble device list --account ada',
  );
}

function filterOf({ state, unanswered, mustEnrolAgain, identityEnds, ...filter }: ListFlags) {
  return {
    ...filter,
    ...(state === undefined ? {} : { state: unvalidated<ShownDeviceState>(state) }),
    unanswered: unanswered ? 'true' : undefined,
    mustEnrolAgain: mustEnrolAgain ? 'true' : undefined,
    identityEndsWithinDays: identityEnds,
  };
}

function deviceTable(devices: readonly Device[], style: Style): string {
  return columns(style, devices, {
    id: (row) => row.id,
    account: (row) => row.account,
    instance: (row) => row.instance,
    platform: (row) => row.platform,
    software: (row) => cell(row.softwareVersion ?? row.osVersion),
    state: (row) => (row.mustEnrolAgain ? style.yellow(`${row.state}, must enrol again`) : row.state),
    'last seen': (row) => timeText(row.lastSeenAt),
    commands: ({ unansweredCommands, pendingCommands }) =>
      unansweredCommands === 0 ? String(pendingCommands) : style.yellow(`${pendingCommands}, unanswered`),
    deliveries: (row) => String(row.openDeliveries),
    repeated: (row) => (row.repeatedMessages === 0 ? '-' : style.yellow(String(row.repeatedMessages))),
    'identity ends': (row) => identityText(row, style),
  });
}

/** The day, and what is being done about it. */
function identityText({ identityExpiresAt, identityRenewal }: Device, style: Style): string {
  const day = identityExpiresAt === null ? '-' : dayText(identityExpiresAt);
  if (identityRenewal === null || identityRenewal.state === 'not-due') return day;
  const text = `${day}, renewal ${identityRenewal.state}`;
  return identityRenewal.state === 'failed' ? style.yellow(text) : text;
}

function addShow(devices: Command, frame: Frame): void {
  example(
    devices
      .command('show <id>')
      .description('show a device with its options and inventory')
      .action(async (id: string, _flags: object, command) => {
        await frame.ask(command, deviceOperations.show, { params: { id } }, ({ identityRenewal }, style, sent) =>
          facts(
            style,
            Object.entries({ ...(sent as object), identityRenewal: renewalText(identityRenewal) }).flatMap(
              ([key, value]) => deviceFacts(labels[key] ?? inWords(key), value),
            ),
          ),
        );
      }),
    'bramble device show 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
  );
}

function renewalText(renewal: Device['identityRenewal']): string {
  return renewal === null ? '-' : `${renewal.state}: ${timesInText(renewal.text)}`;
}

/** Where the words of the field would not do. */
const labels: Readonly<Record<string, string>> = {
  udid: 'hardware identifier',
  osVersion: 'OS version',
  tlsRequiredSince: 'TLS required since',
  repeatedAt: 'last repeated',
  appliedPolicyRevision: 'IT policy applied',
  appliedBooksRevision: 'service books applied',
  synchronizedAt: 'synchronized',
  lastSeenAt: 'last seen',
  suspendedAt: 'suspended',
  identityExpiresAt: 'identity expires',
  createdAt: 'created',
};

/** `openDeliveries` becomes `open deliveries`. */
function inWords(key: string): string {
  return key.replace(
    /([a-z])([A-Z])/g,
    (_all, before: string, capital: string) => `${before} ${capital.toLowerCase()}`,
  );
}

/** A group of values is a line each, below its name. */
function deviceFacts(label: string, value: unknown): [string, string][] {
  if (isTime(value)) return [[label, timeText(value)]];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[label, cell(value)]];
  const members = Object.entries(value);
  if (members.length === 0) return [[label, '-']];
  return [[label, ''], ...members.map(([key, member]): [string, string] => [`  ${key}`, cell(member)])];
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && z.iso.datetime().safeParse(value).success;
}

interface RemoveFlags {
  tell?: true;
  silent?: true;
  yes?: true;
}

function addRemove(devices: Command, frame: Frame): void {
  example(
    confirmable(devices.command('remove <id>'))
      .description('end the management of a device; by default it is told to leave when it next connects')
      .option(
        '--tell',
        'have the device remove its enrolment profile, and end the enrolment when it answers (the default)',
      )
      .option('--silent', 'end the enrolment at once and refuse the device; what is installed on it stays')
      .action(async (id: string, { tell, silent, yes }: RemoveFlags, command) => {
        if (tell && silent) throw new BrambleError('ERR_USAGE', 'Give --tell or --silent, not both.');
        const params = { id };
        if (!yes) {
          const device = await (await frame.client(command)).call(deviceOperations.show, { params });
          await confirm(frame, removalQuestion(device, silent === true));
        }
        const query = { tell: silent ? 'false' : 'true' } as const;
        await frame.ask(command, deviceOperations.remove, { params, query }, removedText);
      }),
    'bramble device remove 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
    'bramble device remove 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234 --silent --yes',
  );
}

function removalQuestion({ id, account, model, serialNumber }: Device, silent: boolean): string {
  const does = silent
    ? 'will be refused from now on, and keeps what is installed on it'
    : 'will be told to leave, and loses everything that its enrolment profile installed';
  const which = `${model ?? 'a device of unknown model'}, serial number ${serialNumber ?? 'unknown'}`;
  return `The device of ${account} (${which}; ${id}) ${does}. Remove it?`;
}

function removedText({ state, endsAt, toldWhenItComes }: AnswerOf<typeof deviceOperations.remove>): string {
  if (state === 'leaving') {
    return `The device will be told to leave when it next connects; its enrolment ends then, or at ${timeText(endsAt)}.`;
  }
  return toldWhenItComes
    ? 'The enrolment has ended; if the device connects again, it is told to leave.'
    : 'The enrolment has ended; if the device connects again, it is refused.';
}

function addClearTls(devices: Command, frame: Frame): void {
  example(
    confirmable(devices.command('clear-tls [id]'))
      .description('let one or all devices authenticate by signature alone until they use TLS on three more days')
      .option('--all', 'all devices, for example when a proxy will terminate TLS in front of the routers')
      .action(async (id: string | undefined, flags: { all?: true; yes?: true }, command) => {
        if ((id === undefined) === (flags.all === undefined)) {
          throw new BrambleError('ERR_USAGE', 'Give a device or --all.');
        }
        if (id === undefined) await clearTlsOfAll(frame, command, flags.yes === true);
        else {
          const done = () => 'The device may authenticate by signature alone again.';
          await frame.ask(command, deviceOperations.clearTlsIdentity, { params: { id } }, done);
        }
      }),
    'bramble device clear-tls 6f2d1b7e-3c8f-4a61-9d2b-0e8c5a7f1234',
    'bramble device clear-tls --all --yes',
  );
}

async function clearTlsOfAll(frame: Frame, command: Command, yes: boolean): Promise<void> {
  if (!yes) {
    const client = await frame.client(command);
    const { required, counting } = await client.call(deviceOperations.countTlsIdentities, {});
    await confirm(
      frame,
      `${counted(required, 'device')} that must use TLS may authenticate by signature alone again, which can be replayed, ` +
        `until they have used TLS on three more days; ${counting} more start counting again. Continue?`,
    );
  }
  await frame.ask(
    command,
    deviceOperations.clearTlsIdentities,
    {},
    ({ devices }) => `${counted(devices, 'device')} may authenticate by signature alone again.`,
  );
}
