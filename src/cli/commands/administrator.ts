/** `bramble administrator`. */
import type { Command } from 'commander';
import { administratorOperations } from '../../api/administrators.ts';
import { collectNames } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { columns } from '../text-output.ts';
import { addReset, addSecondFactor, addShow, factorsText } from './administrator-access.ts';
import { addRemoval } from './removal.ts';
import { showLink } from './shown-link.ts';

export function addAdministratorCommands(program: Command, frame: Frame): void {
  const administrators = program
    .command('administrator')
    .alias('administrators')
    .description('people who administer the domain');
  addInvite(administrators, frame);
  addAdd(administrators, frame);
  addList(administrators, frame);
  addSet(administrators, frame);
  addShow(administrators, frame);
  addReset(administrators, frame);
  addSecondFactor(administrators, frame);
  for (const [verb, description, operation, done] of [
    ['disable', 'let somebody in no longer; all sessions end', administratorOperations.disable, 'is disabled'],
    ['enable', 'let a disabled administrator in again', administratorOperations.enable, 'is let in again'],
  ] as const) {
    addRemoval(administrators, frame, {
      ...{ usage: `${verb} <name>`, description, operation },
      done: (name) => `The administrator ${name} ${done}.`,
      example: `bramble administrator ${verb} grace`,
    });
  }
  addRemoval(administrators, frame, {
    usage: 'remove <name>',
    description: 'remove an administrator; all sessions end',
    operation: administratorOperations.remove,
    question: (name) => `${name} will be gone for good, and all sessions end. Remove?`,
    done: (name) => `The administrator ${name} is removed.`,
    example: 'bramble administrator remove grace',
  });
}

function addInvite(administrators: Command, frame: Frame): void {
  example(
    administrators
      .command('invite')
      .description('show an address at which the first administrator signs in, once and within 15 minutes')
      .action(async (_flags: object, command) => {
        const client = await frame.client(command);
        const made = await client.call(administratorOperations.inviteFirst, {});
        await showLink(frame, command, made, 'The first administrator signs in here');
      }),
    'bramble administrator invite',
  );
}

interface AddFlags {
  role: string;
  displayName?: string;
  group?: string[];
}

function addAdd(administrators: Command, frame: Frame): void {
  example(
    administrators
      .command('add <name>')
      .description('add an administrator, and show an address at which he signs in, once and within 24 hours')
      .requiredOption('--role <role>', 'such as security, enterprise or junior-helpdesk')
      .option('--display-name <text>', 'the name to show')
      .option('--group <names>', 'limit him to these groups, separated by commas', collectNames)
      .action(async (name: string, { role, displayName, group }: AddFlags, command) => {
        const client = await frame.client(command);
        const made = await client.call(administratorOperations.create, {
          body: { name, role, ...(displayName === undefined ? {} : { displayName }), groups: group ?? null },
        });
        await showLink(frame, command, made, `${name} signs in here`);
      }),
    'bramble administrator add grace --role junior-helpdesk --group sales',
  );
}

function addList(administrators: Command, frame: Frame): void {
  example(
    administrators
      .command('list')
      .description('list administrators')
      .action(async (_flags: object, command) => {
        await frame.ask(command, administratorOperations.list, {}, (answer, style) =>
          columns(style, answer.administrators, {
            name: (row) => row.name,
            role: (row) => row.role,
            groups: (row) => row.groups?.join(', ') ?? 'all',
            state: (row) =>
              row.state === 'active' && !row.hasPassword && row.provider === null ? 'invited' : row.state,
            'second factor': factorsText,
            sessions: (row) => String(row.sessions),
          }),
        );
      }),
    'bramble administrator list',
  );
}

interface SetFlags {
  role?: string;
  displayName?: string;
  group?: string[];
  allGroups?: true;
}

function addSet(administrators: Command, frame: Frame): void {
  example(
    administrators
      .command('set <name>')
      .description('change name to show, role or groups; another role or other groups end all sessions')
      .option('--role <role>', 'the new role')
      .option('--display-name <text>', 'the name to show')
      .option('--group <names>', 'limit him to these groups, separated by commas', collectNames)
      .option('--all-groups', 'limit him to no groups')
      .action(async (name: string, { role, displayName, group, allGroups }: SetFlags, command) => {
        const body = { role, displayName, groups: allGroups ? null : group };
        await frame.ask(
          command,
          administratorOperations.change,
          { params: { name }, body },
          (one) => `${one.name}: role ${one.role}, groups ${one.groups?.join(', ') ?? 'all'}.`,
        );
      }),
    'bramble administrator set grace --role senior-helpdesk',
  );
}
