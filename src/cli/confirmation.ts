/** Asks before an irreversible action. Invariant: without a clear yes nothing is done. */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { BrambleError } from '../base/errors.ts';
import { shownLines } from '../base/shown-text.ts';
import type { CommandStreams } from './frame.ts';
import { paragraphs, styleFor } from './text-output.ts';

/** For a command that calls {@link confirm}. */
export function confirmable(command: Command): Command {
  return command.option('--yes', 'do not ask');
}

/** A person said no: nothing went wrong. */
export class Declined extends BrambleError {
  constructor() {
    super('ERR_USAGE', 'Nothing was changed.');
  }
}

/** Whether a person can answer. */
export function isTerminal({ input }: Pick<CommandStreams, 'input'>): boolean {
  return (input as { isTTY?: boolean }).isTTY === true;
}

/**
 * Reads one line; the question goes to the error stream, so that the output is unaffected.
 * @throws Declined if it says no, BrambleError ERR_USAGE unless it says yes
 */
export async function confirm(streams: CommandStreams, question: string): Promise<void> {
  const { input, errors } = streams;
  errors.write(`${paragraphs(styleFor(errors, streams.environment), shownLines(question))} [y/N] `);
  const lines = createInterface({ input });
  let answer: string | undefined;
  try {
    for await (const line of lines) {
      answer = line.trim();
      break;
    }
  } finally {
    lines.close();
  }
  // Only a typed answer ends the line of the question.
  if (answer === undefined || !isTerminal(streams)) errors.write('\n');
  if (answer !== undefined && /^y(es)?$/i.test(answer)) return;
  if (answer !== undefined && /^(no?)?$/i.test(answer)) throw new Declined();
  throw new BrambleError('ERR_USAGE', 'Nothing was changed. Answer y, or give --yes in scripts.');
}
