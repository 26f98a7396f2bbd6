/** The time of this machine, injectable for tests. Times shared between processes come from the database instead. */
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `durationMs`; rejects with the signal's reason when it is aborted. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Whether this much time has passed since the time stamp. True also for one in the future: the clock was wrong when it was taken,
 * and waiting for that date would block work for as long as the clock was off.
 */
export function hasPassed(clock: Pick<Clock, 'now'>, sinceMs: number, durationMs: number): boolean {
  const elapsedMs = clock.now() - sinceMs;
  return elapsedMs < 0 || elapsedMs >= durationMs;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (durationMs, signal) => {
    await delay(durationMs, undefined, signal === undefined ? {} : { signal });
  },
};
