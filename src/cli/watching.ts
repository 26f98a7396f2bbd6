/**
 * Shows something repeatedly until it is finished: redrawn in place on a terminal, elsewhere a block for each change. Once something was
 * shown, a service that cannot be reached is waited for: an upgrade that is watched replaces it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import stringWidth from 'string-width';
import { type BrambleError, isBrambleError } from '../base/errors.ts';
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
  /** What is shown below the last text while nobody can be asked; by default nothing. */
  lostText?: (error: BrambleError) => string;
  /** Default 1000. */
  intervalMs?: number;
  /** How long nobody may answer, default five minutes. */
  patienceMs?: number;
  signal?: AbortSignal;
}

/** Between two looks, in times of what the last one took, and at most so long: who watches a large domain does not keep it busy. */
const restFactor = 9;
const longestRestMs = 10_000;

/**
 * Polls every second, or less often where an answer takes long, until it is finished, or the signal is aborted.
 * @throws BrambleError ERR_ADMIN_UNREACHABLE when nobody answers the first time, or for too long
 */
export async function watch(options: WatchOptions): Promise<void> {
  const { output, intervalMs = 1000, patienceMs = 300_000, signal } = options;
  let shown: string | undefined;
  let last: Watched | undefined;
  let answeredAt = performance.now();
  const lookAgain = async (): Promise<Watched> => {
    try {
      last = await options.look();
      answeredAt = performance.now();
      return last;
    } catch (error) {
      const isPassing = isBrambleError(error, 'ERR_ADMIN_UNREACHABLE') && performance.now() - answeredAt < patienceMs;
      if (last === undefined || !isPassing) throw error;
      return { text: `${last.text}${options.lostText?.(error) ?? ''}`, over: false };
    }
  };
  for (;;) {
    const beganAt = performance.now();
    const looked = await lookAgain();
    const restMs = Math.max(intervalMs, Math.min(restFactor * (performance.now() - beganAt), longestRestMs));
    const text = shownLines(looked.text);
    if (text !== shown) {
      if (output.isTTY === true && shown !== undefined) output.write(`\u001b[${rowsOf(shown, output)}A\u001b[J`);
      output.write(`${text}\n`);
      shown = text;
    }
    if (looked.over) return;
    try {
      await delay(restMs, undefined, signal === undefined ? {} : { signal });
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
