/** How far a long command is: a line on the error stream that is overwritten, on a terminal only. */
import type { Frame } from './frame.ts';
import { progressBar, styleFor } from './text-output.ts';

const redrawnEveryMs = 100;

export interface LiveProgress {
  show(what: string, done: number, of: number): void;
  /** Removes the line. */
  end(): void;
}

function liveProgress({ errors, environment }: Frame): LiveProgress {
  const style = styleFor(errors, environment);
  let [shown, at] = ['', 0];
  return {
    show: (what, done, of) => {
      if (errors.isTTY !== true) return;
      const now = performance.now();
      if (what === shown && done < of && now - at < redrawnEveryMs) return;
      [shown, at] = [what, now];
      errors.write(`\r\u001b[K${what} ${progressBar(style, done, of)}`);
    },
    end: () => {
      if (shown !== '') errors.write('\r\u001b[K');
      shown = '';
    },
  };
}

/** The line goes when the work ends, however it does. */
export async function withProgress<Result>(
  frame: Frame,
  work: (progress: LiveProgress) => Promise<Result>,
): Promise<Result> {
  const progress = liveProgress(frame);
  try {
    return await work(progress);
  } finally {
    progress.end();
  }
}
