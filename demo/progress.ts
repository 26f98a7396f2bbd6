/** What the demo shows while it runs: a line for each thing that happened, and on a terminal a live line below them. */
import { setTimeout as delay } from 'node:timers/promises';
import colors from 'picocolors';

export interface Progress {
  /** Something happened. */
  say(text: string): void;
  /** A heading. */
  step(text: string): void;
  /** How it stands now; shown on a terminal only, and overwritten. */
  live(text: string): void;
  /** Shows what `ask` says, several times a second, until `work` is done. */
  during<Result>(work: Promise<Result>, ask: () => Promise<string>): Promise<Result>;
  end(): void;
}

export function createProgress(output: NodeJS.WriteStream): Progress {
  const startedAt = performance.now();
  const terminal = output.isTTY === true;
  const paint = colors.createColors(terminal);
  let shown = false;
  const clear = () => {
    if (shown) output.write('\r\u001b[2K');
    shown = false;
  };
  const stamp = () => paint.dim(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s `);
  const live = (text: string) => {
    if (!terminal) return;
    clear();
    output.write(`${stamp()} ${paint.cyan(text.slice(0, Math.max(20, (output.columns ?? 100) - 12)))}`);
    shown = true;
  };
  return {
    say(text) {
      clear();
      output.write(`${stamp()} ${text}\n`);
    },
    step(text) {
      clear();
      output.write(`${stamp()} ${paint.bold(text)}\n`);
    },
    live,
    async during(work, ask) {
      const settled = work.then(
        () => true,
        () => true,
      );
      while (!(await Promise.race([settled, delay(200, false)]))) {
        // A question that nobody answers does not hold up the work.
        await Promise.race([settled, ask().then(live, () => undefined)]);
      }
      return await work;
    },
    end: clear,
  };
}

/** `████░░░░ 12/26` */
export function bar(done: number, all: number, width = 20): string {
  const filled = all === 0 ? width : Math.round((done / all) * width);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${done}/${all}`;
}
