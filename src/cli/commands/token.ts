/** `bramble token`. */
import type { Command } from 'commander';
import * as z from 'zod';
import { example, type Frame } from '../frame.ts';
import { table, timeText } from '../text-output.ts';
import { addRemoval } from './removal.ts';

export function addTokenCommands(program: Command, frame: Frame): void {
  const tokens = program.command('token').alias('tokens').description('administrator tokens');
  example(
    tokens
      .command('create <name>')
      .description('make a token; it is shown once')
      .action(async (name: string, _flags: object, command) => {
        await frame.ask(command, {
          method: 'POST',
          path: '/tokens',
          body: { name },
          shape: z.object({ token: z.string() }),
          text: (made) => made.token,
        });
      }),
    'bramble token create helpdesk',
  );
  example(
    tokens
      .command('list')
      .description('list tokens, revoked ones included')
      .action(async (_flags: object, command) => {
        await frame.ask(command, {
          path: '/tokens',
          shape: z.object({
            tokens: z.array(z.object({ name: z.string(), createdAt: z.string(), revokedAt: z.string().nullable() })),
          }),
          text: (answer, style) =>
            table(
              style,
              ['name', 'made', 'revoked'],
              answer.tokens.map((row) => [row.name, timeText(row.createdAt), timeText(row.revokedAt)]),
            ),
        });
      }),
    'bramble token list',
  );
  addRemoval(tokens, frame, {
    usage: 'revoke <name>',
    description: 'revoke a token',
    path: '/tokens',
    done: (name) => `The token ${name} is revoked.`,
    example: 'bramble token revoke helpdesk',
  });
}
