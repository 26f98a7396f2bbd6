/**
 * What a process does besides answering, until it drains. Invariant: nothing that was started here is still running
 * once {@link BackgroundWork.end} has settled, and no failure is lost: until the end begins it is one of the process,
 * which then drains; from then on `end` rejects with it.
 */

export interface BackgroundWork {
  /** Starts work that goes on until the signal is aborted. */
  start(work: (signal: AbortSignal) => Promise<unknown>): void;
  /** Does it every so many milliseconds, whether or not the last time is over. */
  every(intervalMs: number, work: () => Promise<void>): void;
  /** Aborts the signal and waits for all that was started. Rejects with the first failure since. */
  end(): Promise<void>;
}

/** @param fail ends the process with this error after draining */
export function createBackgroundWork(fail: (error: unknown) => void): BackgroundWork {
  const ending = new AbortController();
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];

  function keep(work: Promise<unknown>): void {
    const kept = work
      .then(
        () => undefined,
        (error: unknown) => (ending.signal.aborted ? void failures.push(error) : fail(error)),
      )
      .finally(() => running.delete(kept));
    running.add(kept);
  }

  return {
    start: (work) => keep(work(ending.signal)),
    every(intervalMs, work) {
      const timer = setInterval(() => keep(work()), intervalMs);
      ending.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    },
    async end() {
      ending.abort();
      await Promise.all(running);
      if (failures.length > 0) throw failures[0];
    },
  };
}
