/** `bramble account`. */
import { Readable } from 'node:stream';
import type { Command } from 'commander';
import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { openInputFile } from '../../base/input-file.ts';
import { shownText } from '../../base/shown-text.ts';
import { collect, number } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame, query, segment } from '../frame.ts';
import { cell, facts, table, timeText } from '../text-output.ts';

const account = z.object({
  name: z.string(),
  displayName: z.string(),
  instance: z.string(),
  groups: z.array(z.string()),
  deviceCount: z.number(),
  moving: z.boolean(),
});
export const owed = z.object({ deliveriesOwed: z.number() });

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
        await frame.ask(command, {
          method: 'POST',
          path: '/accounts',
          body: { name, displayName: flags.displayName, instance: flags.instance, groups: flags.group },
          shape: account,
          text: (made) => `The account ${made.name} was created at the instance ${made.instance}.`,
        });
      }),
    'bramble account create ada --group sales',
  );
}

function addList(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('list')
      .description('list accounts by name')
      .option('--instance <name>', 'only of this instance')
      .option('--group <name>', 'only of this group')
      .option('--after <name>', 'go on after this name')
      .option('--limit <number>', 'at most so many', number, 100)
      .action(async (flags: { instance?: string; group?: string; after?: string; limit: number }, command) => {
        await frame.ask(command, {
          path: `/accounts${query(flags)}`,
          shape: z.object({ accounts: z.array(account), next: z.string().nullable() }),
          text: (page, style) =>
            table(
              style,
              ['name', 'display name', 'instance', 'groups', 'devices', 'moving'],
              page.accounts.map((row) => [
                row.name,
                row.displayName,
                row.instance,
                cell(row.groups),
                String(row.deviceCount),
                cell(row.moving),
              ]),
            ) + (page.next === null ? '' : `\n${style.dim(`There are more: --after ${page.next}`)}`),
        });
      }),
    'bramble account list --instance berlin',
  );
}

function addDelete(accounts: Command, frame: Frame): void {
  example(
    confirmable(accounts.command('delete <name>'))
      .description('delete an account with its devices, which are not told: they keep what is installed on them')
      .action(async (name: string, flags: { yes?: true }, command) => {
        if (!flags.yes) {
          const rest = await frame.rest(command);
          const { name: stored, deviceCount } = account.parse(await rest.send('GET', `/accounts/${segment(name)}`));
          await confirm(frame, deletionQuestion(stored, deviceCount));
        }
        await frame.ask(command, {
          method: 'DELETE',
          path: `/accounts/${segment(name)}`,
          shape: z.null(),
          text: () => `The account ${name} was deleted.`,
        });
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
        'import accounts, one JSON object a line (- reads from standard input); one that is there already or names a group that is not is skipped and told, anything else that is wrong creates nothing',
      )
      .action(async (file: string, _flags: object, command) => {
        const input = file === '-' ? Readable.from(frame.input) : await openInputFile(file);
        const rest = await frame.rest(command);
        const answer = await rest.stream('/accounts/import', 'application/x-ndjson', input);
        const shape = z.object({
          created: z.number(),
          skipped: z.array(z.object({ name: z.string(), reason: z.string() })),
        });
        frame.show(command, shape.parse(answer), (result, style) =>
          [
            `${counted(result.created, 'account was', 'accounts were')} created, ${result.skipped.length} skipped.`,
            ...(result.skipped.length === 0
              ? []
              : [
                  table(
                    style,
                    ['skipped', 'why'],
                    result.skipped.map((row) => [shownText(row.name), shownText(row.reason)]),
                  ),
                ]),
          ].join('\n'),
        );
      }),
    'bramble account import accounts.ndjson',
  );
}

function addPassword(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('password <name>')
      .description('give an account an activation password; the earlier one ends')
      .option('--hours <number>', 'how long it is valid, from 1 to 720, fractions too (default: 48)', number)
      .action(async (name: string, flags: { hours?: number }, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: `/accounts/${segment(name)}/activation-password`,
          body: { validHours: flags.hours },
          shape: z.object({ password: z.string(), expiresAt: z.string(), activationUrl: z.string() }),
          text: (issued, style) =>
            facts(style, [
              ['account', name],
              ['password', style.bold(issued.password)],
              ['valid until', timeText(issued.expiresAt)],
              ['activate at', issued.activationUrl],
            ]),
        });
      }),
    'bramble account password ada --hours 24',
  );
}

function addAssign(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('assign <name> <instance>')
      .description('change to which new instance an account goes in the upgrade that is open')
      .option('--wave <number>', 'and with which wave', number)
      .action(async (name: string, instance: string, flags: { wave?: number }, command) => {
        await frame.ask(command, {
          method: 'PUT',
          path: `/accounts/${segment(name)}/assignment`,
          body: { instance, wave: flags.wave },
          shape: z.object({ account: z.string(), instance: z.string() }),
          text: (made) => `${made.account} goes to ${made.instance} in this upgrade.`,
        });
      }),
    'bramble account assign ada berlin-2',
  );
}

function addPolicy(accounts: Command, frame: Frame): void {
  example(
    accounts
      .command('policy <name> [policy]')
      .description('assign an IT policy to an account; without one its own is taken away')
      .action(async (name: string, policy: string | undefined, _flags: object, command) => {
        await frame.ask(command, {
          method: 'PUT',
          path: `/accounts/${segment(name)}/it-policy`,
          body: { policy: policy ?? null },
          shape: owed,
          text: (answer) => `Done; ${counted(answer.deliveriesOwed, 'delivery is', 'deliveries are')} owed to devices.`,
        });
      }),
    'bramble account policy ada "Advanced Security"',
  );
}

function deletionQuestion(name: string, devices: number): string {
  if (devices === 0) return `The account ${name} is deleted; it has no devices. Delete it?`;
  return (
    `The account ${name} is deleted with ${counted(devices, 'device')}, not told to leave: what is installed stays, and ` +
    `nothing can be sent any more.\nTo have devices leave, first \`bramble device remove DEVICE --tell\` for each of ` +
    `\`bramble device list --account ${name}\`, and wait until they have.\nDelete it?`
  );
}
