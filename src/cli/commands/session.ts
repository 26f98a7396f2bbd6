/** `bramble session`. */
import type { Command } from 'commander';
import { administratorOperations } from '../../api/administrators.ts';
import { signInOperations } from '../../api/sign-in.ts';
import { BrambleError } from '../../base/errors.ts';
import { timeText } from '../../base/time-text.ts';
import { example, type Frame } from '../frame.ts';
import { columns } from '../text-output.ts';

export function addSessionCommands(program: Command, frame: Frame): void {
  const sessions = program.command('session').alias('sessions').description('who has signed in to the console');
  addList(sessions, frame);
  addEnd(sessions, frame);
}

function addList(sessions: Command, frame: Frame): void {
  example(
    sessions
      .command('list')
      .description('list open sessions, the latest first')
      .option('--administrator <name>', 'those of one administrator')
      .action(async ({ administrator }: { administrator?: string }, command) => {
        const query = { sort: '-createdAt', administrator } as const;
        await frame.ask(command, signInOperations.listSessions, { query }, (answer, style) =>
          columns(style, answer.sessions, {
            id: (row) => row.id,
            administrator: (row) => row.administrator,
            'signed in by': (row) => row.method,
            from: (row) => row.address,
            since: (row) => timeText(row.createdAt),
            'last used': (row) => timeText(row.seenAt),
            ends: (row) => timeText(row.expiresAt),
          }),
        );
      }),
    'bramble session list --administrator grace',
  );
}

function addEnd(sessions: Command, frame: Frame): void {
  example(
    sessions
      .command('end [id]')
      .description('end a session, or all of an administrator')
      .option('--administrator <name>', 'all of one administrator')
      .action(async (id: string | undefined, { administrator }: { administrator?: string }, command) => {
        if ((id === undefined) === (administrator === undefined)) {
          throw new BrambleError('ERR_USAGE', 'Say which: the id of a session, or --administrator and a name.');
        }
        if (id !== undefined) {
          await frame.ask(
            command,
            signInOperations.endSession,
            { params: { id } },
            () => `The session ${id} has ended.`,
          );
          return;
        }
        const name = administrator ?? '';
        const done = () => `All sessions of ${name} have ended.`;
        await frame.ask(command, administratorOperations.endSessions, { params: { name } }, done);
      }),
    'bramble session end --administrator grace',
  );
}
