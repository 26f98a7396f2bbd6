/**
 * Shows something repeatedly until it is finished: redrawn in place on a terminal, elsewhere a block for each change.
 */
import { setTimeout as delay } from 'node:timers/promises';
import stringWidth from 'string-width';
import { shownLines } from '../base/shown-text.ts';

export interface Watched {
  text: string;
  /** Nothing more will change. */
  over: boolean;
}

interface Screen {
  isTTY?: boolean;
  columns?: number;
  rows?: number;
}

interface WatchOptions {
  look: () => Promise<Watched>;
  output: NodeJS.WritableStream & Screen;
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
      if (output.isTTY === true && shown !== undefined) output.write(`\u001b[${rowsOf(shown, output)}A\u001b[J`);
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

/** How far up the text begins: a line wider than the screen takes several rows, and what scrolled out is out of reach. */
function rowsOf(text: string, { columns = Number.POSITIVE_INFINITY, rows = Number.POSITIVE_INFINITY }: Screen): number {
  const taken = text.split('\n').map((line) => Math.max(1, Math.ceil(stringWidth(line) / columns)));
  return Math.min(
    taken.reduce((sum, count) => sum + count, 0),
    Math.max(1, rows - 1),
  );
}
