/** `bramble group`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { counted } from '../../base/counted.ts';
import { number } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame, segment } from '../frame.ts';
import { table } from '../text-output.ts';
import { owed } from './account.ts';

export function addGroupCommands(program: Command, frame: Frame): void {
  const groups = program.command('group').alias('groups').description('groups of accounts');
  addList(groups, frame);
  addCreate(groups, frame);
  addDelete(groups, frame);
  addMembership(groups, frame);
  addMembers(groups, frame);
  addPolicy(groups, frame);
}

function addList(groups: Command, frame: Frame): void {
  example(
    groups
      .command('list')
      .description('list groups by rank; the lower number wins between groups')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/groups',
          shape: z.object({
            groups: z.array(z.object({ name: z.string(), rank: z.number(), memberCount: z.number() })),
          }),
          text: (answer, style) =>
            table(
              style,
              ['rank', 'name', 'accounts'],
              answer.groups.map((row) => [String(row.rank), row.name, String(row.memberCount)]),
            ),
        });
      }),
    'bramble group list',
  );
}

function addCreate(groups: Command, frame: Frame): void {
  example(
    groups
      .command('create <name>')
      .description('create a group')
      .option('--rank <number>', 'its rank (default: after all others)', number)
      .action(async (name: string, flags: { rank?: number }, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: '/groups',
          body: { name, rank: flags.rank },
          shape: z.object({ name: z.string(), rank: z.number() }),
          text: (made) => `The group ${made.name} was created with rank ${made.rank}.`,
        });
      }),
    'bramble group create sales --rank 10',
  );
}

function addDelete(groups: Command, frame: Frame): void {
  example(
    confirmable(groups.command('delete <name>'))
      .description('delete a group; its members stay, and what its IT policy brought them is taken back')
      .action(async (name: string, flags: { yes?: true }, command) => {
        const path = `/groups/${segment(name)}`;
        if (!flags.yes) {
          const rest = await frame.rest(command);
          const { members } = z
            .object({ members: z.array(z.string()) })
            .parse(await rest.send('GET', `${path}/members`));
          if (members.length > 0) {
            await confirm(
              frame,
              `The group ${name} has ${counted(members.length, 'account')}, which stay; its IT policy holds for them no ` +
                'more. Delete it?',
            );
          }
        }
        await frame.ask(command, {
          method: 'DELETE',
          path,
          shape: owed,
          text: (answer) =>
            `Deleted; ${counted(answer.deliveriesOwed, 'delivery is', 'deliveries are')} owed to devices.`,
        });
      }),
    'bramble group delete sales',
  );
}

function addMembership(groups: Command, frame: Frame): void {
  for (const [verb, method, summary] of [
    ['add', 'PUT', 'put accounts into a group'],
    ['remove', 'DELETE', 'take accounts out of a group'],
  ] as const) {
    example(
      groups
        .command(`${verb} <group> <account...>`)
        .description(summary)
        .action(async (group: string, names: string[], _flags: object, command) => {
          const rest = await frame.rest(command);
          for (const name of names) await rest.send(method, `/groups/${segment(group)}/members/${segment(name)}`);
          frame.show(command, { group, accounts: names }, () => `Done for ${names.join(', ')}.`);
        }),
      `bramble group ${verb} sales ada bea`,
    );
  }
}

function addMembers(groups: Command, frame: Frame): void {
  example(
    groups
      .command('members <group>')
      .description('list the accounts of a group')
      .action(async (group: string, _flags: object, command) => {
        await frame.ask(command, {
          path: `/groups/${segment(group)}/members`,
          shape: z.object({ members: z.array(z.string()) }),
          text: (answer) => (answer.members.length === 0 ? 'none' : answer.members.join('\n')),
        });
      }),
    'bramble group members sales',
  );
}

function addPolicy(groups: Command, frame: Frame): void {
  example(
    groups
      .command('policy <group> [policy]')
      .description('assign an IT policy to a group; without one it is taken away')
      .action(async (group: string, policy: string | undefined, _flags: object, command) => {
        await frame.ask(command, {
          method: 'PUT',
          path: `/groups/${segment(group)}/it-policy`,
          body: { policy: policy ?? null },
          shape: owed,
          text: (answer) => `Done; ${counted(answer.deliveriesOwed, 'delivery is', 'deliveries are')} owed to devices.`,
        });
      }),
    'bramble group policy sales "Basic Password Security"',
  );
}
