/** `bramble group`. */
import type { Command } from 'commander';
import { groupOperations } from '../../api/groups.ts';
import { itPolicyOperations } from '../../api/it-policies.ts';
import { counted } from '../../base/counted.ts';
import { number } from '../arguments.ts';
import { confirm, confirmable } from '../confirmation.ts';
import { example, type Frame } from '../frame.ts';
import { columns } from '../text-output.ts';
import { deletedText, doneText } from './owed-text.ts';

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
      .description('list groups by rank; the group with the lower number takes precedence')
      .action(async (_flags: object, command) => {
        await frame.ask(command, groupOperations.list, {}, (answer, style) =>
          columns(style, answer.groups, {
            rank: (row) => String(row.rank),
            name: (row) => row.name,
            accounts: (row) => String(row.memberCount),
          }),
        );
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
        await frame.ask(
          command,
          groupOperations.create,
          { body: { name, rank: flags.rank } },
          (made) => `The group ${made.name} was created with rank ${made.rank}.`,
        );
      }),
    'bramble group create sales --rank 10',
  );
}

function addDelete(groups: Command, frame: Frame): void {
  example(
    confirmable(groups.command('delete <name>'))
      .description('delete a group; its members stay, and the effects of its IT policy on them are reverted')
      .action(async (name: string, flags: { yes?: true }, command) => {
        const params = { name };
        if (!flags.yes) {
          const { members } = await (await frame.client(command)).call(groupOperations.listMembers, { params });
          if (members.length > 0) await confirm(frame, deletionQuestion(name, members.length));
        }
        await frame.ask(command, groupOperations.delete, { params }, deletedText);
      }),
    'bramble group delete sales',
  );
}

function deletionQuestion(name: string, members: number): string {
  const stay =
    members === 1
      ? 'Its 1 account stays; its IT policy will no longer apply to it.'
      : `Its ${counted(members, 'account')} will stay; its IT policy will no longer apply to them.`;
  return `The group ${name} will be deleted. ${stay} Delete it?`;
}

function addMembership(groups: Command, frame: Frame): void {
  for (const [verb, operation, summary] of [
    ['add', groupOperations.addMember, 'put accounts into a group'],
    ['remove', groupOperations.removeMember, 'take accounts out of a group'],
  ] as const) {
    example(
      groups
        .command(`${verb} <group> <account...>`)
        .description(summary)
        .action(async (group: string, names: string[], _flags: object, command) => {
          const client = await frame.client(command);
          for (const account of names) await client.call(operation, { params: { name: group, account } });
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
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, groupOperations.listMembers, { params: { name } }, ({ members }) =>
          members.length === 0 ? 'none' : members.join('\n'),
        );
      }),
    'bramble group members sales',
  );
}

function addPolicy(groups: Command, frame: Frame): void {
  example(
    groups
      .command('policy <group> [policy]')
      .description('assign an IT policy to a group; omit the policy to remove it')
      .action(async (name: string, policy: string | undefined, _flags: object, command) => {
        const request = { params: { name }, body: { policy: policy ?? null } };
        await frame.ask(command, itPolicyOperations.assignToGroup, request, doneText);
      }),
    'bramble group policy sales "Basic Password Security"',
  );
}
