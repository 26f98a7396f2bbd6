/** Asks before something is done that cannot be undone. Invariant: without a clear yes nothing is done. */
import { createInterface } from 'node:readline/promises';
import { BrambleError } from '../base/errors.ts';
import type { CommandStreams } from './frame.ts';

/**
 * Reads one line; the question goes to the error stream, so that the output stays what it is.
 * @throws BrambleError ERR_USAGE unless it says yes
 */
export async function confirm({ input, errors }: CommandStreams, question: string): Promise<void> {
  errors.write(`${question} [y/N] `);
  const lines = createInterface({ input });
  try {
    for await (const line of lines) {
      if (/^y(es)?$/i.test(line.trim())) return;
      break;
    }
  } finally {
    lines.close();
  }
  throw new BrambleError('ERR_USAGE', 'Nothing was changed. Answer y, or give --yes where nobody can be asked.');
}
