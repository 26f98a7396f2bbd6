/**
 * Shows something repeatedly until it is finished: redrawn in place on a terminal, elsewhere a block for each change.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { shownLines } from '../base/shown-text.ts';

export interface Watched {
  text: string;
  /** Nothing more will change. */
  over: boolean;
}

interface WatchOptions {
  look: () => Promise<Watched>;
  output: NodeJS.WritableStream & { isTTY?: boolean };
  /** Default 1000. */
  intervalMs?: number;
  signal?: AbortSignal;
}

/** Polls every second until it is finished, or the signal is aborted. */
export async function watch({ look, output, intervalMs = 1000, signal }: WatchOptions): Promise<void> {
  let shown: string | undefined;
  for (;;) {
    const looked = await look();
    const { over } = looked;
    const text = shownLines(looked.text);
    if (text !== shown) {
      if (output.isTTY === true && shown !== undefined) output.write(`\u001b[${shown.split('\n').length}A\u001b[J`);
      output.write(`${text}\n`);
      shown = text;
    }
    if (over) return;
    try {
      await delay(intervalMs, undefined, signal === undefined ? {} : { signal });
    } catch {
      return;
    }
  }
}
