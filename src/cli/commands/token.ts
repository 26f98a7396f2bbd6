/** `bramble token`. */
import type { Command } from 'commander';
import { tokenOperations } from '../../api/tokens.ts';
import { timeText } from '../../base/time-text.ts';
import { collectNames, instantOrDays } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns } from '../text-output.ts';
import { addRemoval } from './removal.ts';

export function addTokenCommands(program: Command, frame: Frame): void {
  const tokens = program.command('token').alias('tokens').description('tokens of administrators and programs');
  addCreate(tokens, frame);
  addList(tokens, frame);
  addRemoval(tokens, frame, {
    usage: 'revoke <name>',
    description: 'revoke a token',
    operation: tokenOperations.revoke,
    done: (name) => `The token ${name} is revoked.`,
    example: 'bramble token revoke helpdesk',
  });
}

interface TokenFlags {
  role?: string;
  group?: string[];
  expires?: string;
}

function addCreate(tokens: Command, frame: Frame): void {
  example(
    tokens
      .command('create <name>')
      .alias('add')
      .description('create a token; it is shown once')
      .option('--role <name>', 'what it may do: `bramble role list` (default: everything, without end)')
      .option('--group <names>', 'limit it to these groups, separated by commas', collectNames)
      .option('--expires <time>', 'when it ends: a time, or days from now, such as 90d', instantOrDays)
      .action(async (name: string, { role, group, expires }: TokenFlags, command) => {
        const body = { name, role, groups: group, expiresAt: expires };
        await frame.ask(command, tokenOperations.create, { body }, (made) => made.token);
      }),
    'bramble token create reports --role junior-helpdesk --group sales --expires 90d',
  );
}

function addList(tokens: Command, frame: Frame): void {
  example(
    tokens
      .command('list')
      .description('list tokens, revoked ones included')
      .action(async (_flags: object, command) => {
        await frame.ask(command, tokenOperations.list, {}, (answer, style) =>
          columns(style, answer.tokens, {
            name: (row) => row.name,
            role: (row) => row.role ?? 'everything',
            groups: (row) => (row.groups === null ? '-' : cell(row.groups)),
            created: (row) => timeText(row.createdAt),
            ends: (row) => timeText(row.expiresAt),
            revoked: (row) => timeText(row.revokedAt),
          }),
        );
      }),
    'bramble token list',
  );
}
