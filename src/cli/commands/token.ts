/** `bramble token`. */
import type { Command } from 'commander';
import { tokenOperations } from '../../api/tokens.ts';
import { timeText } from '../../base/time-text.ts';
import { example, type Frame } from '../frame.ts';
import { columns } from '../text-output.ts';
import { addRemoval } from './removal.ts';

export function addTokenCommands(program: Command, frame: Frame): void {
  const tokens = program.command('token').alias('tokens').description('administrator tokens');
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

function addCreate(tokens: Command, frame: Frame): void {
  example(
    tokens
      .command('create <name>')
      .description('create a token; it is shown once')
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, tokenOperations.create, { body: { name } }, (made) => made.token);
      }),
    'bramble token create helpdesk',
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
            created: (row) => timeText(row.createdAt),
            revoked: (row) => timeText(row.revokedAt),
          }),
        );
      }),
    'bramble token list',
  );
}
