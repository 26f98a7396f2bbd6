/** `bramble role`. */
import type { Command } from 'commander';
import type { Right } from '../../api/rights.ts';
import { roleOperations } from '../../api/roles.ts';
import { collectNames, unvalidated } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns } from '../text-output.ts';
import { addRemoval } from './removal.ts';

const rightsText = 'what it may do, separated by commas: `bramble role rights`';

export function addRoleCommands(program: Command, frame: Frame): void {
  const roles = program.command('role').alias('roles').description('what administrators and tokens may do');
  addList(roles, frame);
  addRights(roles, frame);
  addMaking(roles, frame);
  addChange(roles, frame);
  addRemoval(roles, frame, {
    usage: 'remove <name>',
    description: 'remove a role of your own that nobody has',
    operation: roleOperations.remove,
    done: (name) => `The role ${name} is removed.`,
    example: 'bramble role remove auditor',
  });
}

function addList(roles: Command, frame: Frame): void {
  example(
    roles
      .command('list')
      .description('list roles with their rights')
      .action(async (_flags: object, command) => {
        await frame.ask(command, roleOperations.list, {}, (answer, style) =>
          columns(style, answer.roles, {
            name: (row) => row.name,
            '': (row) => (row.predefined ? 'predefined' : 'own'),
            rights: (row) => (row.rights.length === answer.rights.length ? 'all' : cell(row.rights)),
          }),
        );
      }),
    'bramble role list',
  );
}

function addRights(roles: Command, frame: Frame): void {
  example(
    roles
      .command('rights')
      .description('list the rights that there are')
      .action(async (_flags: object, command) => {
        await frame.ask(command, roleOperations.list, {}, (answer, style) =>
          columns(style, answer.rights, {
            right: (row) => row.name,
            'in groups': (row) => (row.inGroups ? 'yes' : 'no'),
            'what it is for': (row) => row.purpose,
          }),
        );
      }),
    'bramble role rights',
  );
}

function addMaking(roles: Command, frame: Frame): void {
  example(
    roles
      .command('add <name>')
      .description('make a role of your own')
      .requiredOption('--rights <names>', rightsText, collectNames)
      .action(async (name: string, { rights }: { rights: string[] }, command) => {
        const body = { name, rights: rights.map(unvalidated<Right>) };
        await frame.ask(command, roleOperations.create, { body }, (made) => `The role ${made.name} is made.`);
      }),
    'bramble role add auditor --rights audit.read,access.read',
  );
}

function addChange(roles: Command, frame: Frame): void {
  example(
    roles
      .command('set <name>')
      .description('change what a role of your own may do, at once for all that have it')
      .requiredOption('--rights <names>', rightsText, collectNames)
      .action(async (name: string, { rights }: { rights: string[] }, command) => {
        const request = { params: { name }, body: { rights: rights.map(unvalidated<Right>) } };
        await frame.ask(command, roleOperations.change, request, (role) => `The role ${role.name} is changed.`);
      }),
    'bramble role set auditor --rights audit.read,access.read,events.read',
  );
}
