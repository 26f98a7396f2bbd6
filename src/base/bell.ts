/**
 * A rest that somebody's word ends: one that is said while nobody rests ends the next rest at once.
 *
 * Invariant: no ring is lost. Where several rest, the first to wake makes the bell ready again, and what is rung from then on
 * is for whoever rests next.
 */
import { type Clock, systemClock } from './clock.ts';

export interface Bell {
  ring(): void;
  /** Resolves after the time, when it rings, or when the signal is aborted; never rejects. */
  rest(durationMs: number, signal: AbortSignal): Promise<void>;
}

export function createBell(clock: Pick<Clock, 'sleep'> = systemClock): Bell {
  let early = new AbortController();
  return {
    ring: () => early.abort(),
    rest: async (durationMs, signal) => {
      const mine = early;
      await clock.sleep(durationMs, AbortSignal.any([signal, mine.signal])).catch(() => {});
      if (early === mine) early = new AbortController();
    },
  };
}
