/** `bramble account`. */
import { Readable } from 'node:stream';
import type { Command } from 'commander';
import { type AccountOrder, accountOperations, accountSorts, type ImportResult } from '../../api/accounts.ts';
import { itPolicyOperations } from '../../api/it-policies.ts';
import { upgradeOperations } from '../../api/upgrade.ts';
import { counted } from '../../base/counted.ts';
import { openInputFile } from '../../base/input-file.ts';
import { shownText } from '../../base/shown-text.ts';
import { timeText } from '../../base/time-text.ts';
import { collect, number, unvalidated } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { afterText, orderText } from '../paging-words.ts';
import { cell, columns, facts, moreText, type Style, table } from '../text-output.ts';
import { doneText } from './owed-text.ts';

export function addAccountCommands(program: Command, frame: Frame): void {
  const accounts = program.command('account').alias('accounts').description('user accounts');
  addCreate(accounts, frame);
  addList(accounts, frame);
  addDelete(accounts, frame);
  addImport(accounts, frame);
  addPassword(accounts, frame);
  addAssign(accounts, frame);
  addPolicy(accounts, frame);
}

function addCreate(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('create <name>')
      .description('create an account')
      .option('--display-name <text>', 'full name')
      .option('--instance <name>', 'server instance (default: the one with the fewest accounts)')
      .option('--group <name>', 'group to join, may be repeated', collect, [])
      .action(async (name: string, flags: { displayName?: string; instance?: string; group: string[] }, command) => {
        const { displayName, instance, group: groups } = flags;
        await frame.ask(
          command,
          accountOperations.create,
          { body: { name, displayName, instance, groups } },
          (made) => `The account ${made.name} was created at the instance ${made.instance}.`,
        );
      }),
    'bramble account create ada --group sales',
  );
}

interface ListFlags {
  instance?: string;
  group?: string;
  sort?: AccountOrder;
  after?: string;
  limit: number;
}

function addList(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('list')
      .description('list accounts')
      .option('--instance <name>', 'only of this instance')
      .option('--group <name>', 'only of this group')
      .option('--sort <order>', orderText(accountSorts), unvalidated<AccountOrder>)
      .option('--after <next>', afterText)
      .option('--limit <number>', 'maximum number of accounts', number, 100)
      .action(async (query: ListFlags, command) => {
        await frame.ask(
          command,
          accountOperations.list,
          { query },
          (page, style) =>
            columns(style, page.accounts, {
              name: (row) => row.name,
              'display name': (row) => row.displayName,
              instance: (row) => row.instance,
              groups: (row) => cell(row.groups),
              devices: (row) => String(row.deviceCount),
              moving: (row) => cell(row.moving),
            }) + moreText(style, '--after', page.next),
        );
      }),
    'bramble account list --instance berlin',
    'bramble account list --sort -createdAt --limit 20',
  );
}

function addDelete(accounts: Command, frame: Frame): void {
  example(
    confirmable(accounts.command('delete <name>'))
      .description('delete an account and its devices; the devices are not told and keep what is installed on them')
      .action(async (name: string, flags: { yes?: true }, command) => {
        const params = { name };
        if (!flags.yes) {
          const found = await (await frame.client(command)).call(accountOperations.show, { params });
          await confirm(frame, deletionQuestion(found.name, found.deviceCount));
        }
        await frame.ask(command, accountOperations.delete, { params }, () => `The account ${name} was deleted.`);
      }),
    'bramble account delete ada',
    'bramble account delete ada --yes',
  );
}

function addImport(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('import <file>')
      .description(
        'import accounts, one JSON object per line (- reads from standard input); accounts that already exist or ' +
          'name an unknown group are skipped and listed, any other error creates nothing',
      )
      .action(async (file: string, _flags: object, command) => {
        const input = file === '-' ? Readable.from(frame.input) : await openInputFile(file);
        const client = await frame.client(command);
        frame.show(command, await client.upload(accountOperations.import, Readable.toWeb(input)), importText);
      }),
    'bramble account import accounts.ndjson',
  );
}

function importText({ created, skipped }: ImportResult, style: Style): string {
  const head = `${counted(created, 'account was', 'accounts were')} created, ${skipped.length} skipped.`;
  if (skipped.length === 0) return head;
  const rows = skipped.map((row) => [shownText(row.name), shownText(row.reason)]);
  return `${head}\n${table(style, ['skipped', 'why'], rows)}`;
}

function addPassword(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('password <name>')
      .description('issue an activation password for an account; the previous one becomes invalid')
      .option('--hours <number>', 'how many hours it is valid, 1 to 720, fractions allowed (default: 48)', number)
      .action(async (name: string, flags: { hours?: number }, command) => {
        const request = { params: { name }, body: { validHours: flags.hours } };
        await frame.ask(command, accountOperations.setActivationPassword, request, (issued, style) =>
          facts(style, [
            ['account', name],
            ['password', style.bold(issued.password)],
            ['valid until', timeText(issued.expiresAt)],
            ['activate at', issued.activationUrl],
          ]),
        );
      }),
    'bramble account password ada --hours 24',
  );
}

function addAssign(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('assign <name> <instance>')
      .description('change which new instance an account moves to in the open upgrade')
      .option('--wave <number>', 'and in which wave', number)
      .action(async (name: string, instance: string, flags: { wave?: number }, command) => {
        await frame.ask(
          command,
          upgradeOperations.assignAccount,
          { params: { name }, body: { instance, wave: flags.wave } },
          (made) => `${made.account} moves to ${made.instance} in this upgrade.`,
        );
      }),
    'bramble account assign ada berlin-2',
  );
}

function addPolicy(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('policy <name> [policy]')
      .description('assign an IT policy to an account; omit the policy to remove the account’s own')
      .action(async (name: string, policy: string | undefined, _flags: object, command) => {
        const request = { params: { name }, body: { policy: policy ?? null } };
        await frame.ask(command, itPolicyOperations.assignToAccount, request, doneText);
      }),
    'bramble account policy ada "Advanced Security"',
  );
}

function deletionQuestion(name: string, devices: number): string {
  if (devices === 0) return `The account ${name} will be deleted; it has no devices. Delete it?`;
  return (
    `The account ${name} will be deleted with ${counted(devices, 'device')}, which are not told to leave: what is ` +
    'installed on them stays, and nothing more can be sent to them.\nTo have the devices leave first, run ' +
    `\`bramble device remove DEVICE --tell\` for each one in \`bramble device list --account ${name}\` and wait ` +
    'until they have left.\nDelete it?'
  );
}
