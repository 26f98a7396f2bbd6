/**
 * What a process does besides answering, until it drains. Invariant: nothing that was started here is still running
 * once {@link BackgroundWork.end} has resolved.
 */

export interface BackgroundWork {
  /** Starts work that goes on until the signal is aborted. A failure of it is one of the process. */
  start(work: (signal: AbortSignal) => Promise<unknown>): void;
  /** Does it every so many milliseconds, whether or not the last time is over. */
  every(intervalMs: number, work: () => Promise<void>): void;
  /** Aborts the signal and waits for all that was started. Rejects if one of them failed. */
  end(): Promise<void>;
}

export function createBackgroundWork(): BackgroundWork {
  const ending = new AbortController();
  const running: Promise<unknown>[] = [];
  return {
    start: (work) => void running.push(work(ending.signal)),
    every(intervalMs, work) {
      const timer = setInterval(() => void work(), intervalMs);
      ending.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    },
    async end() {
      ending.abort();
      await Promise.all(running);
    },
  };
}
