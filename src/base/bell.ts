/**
 * A pause that a ring ends early. A ring while nobody is resting ends the next rest at once.
 *
 * Invariant: no ring is lost. One ring wakes everybody who is resting; a rest that ends otherwise leaves the bell to the
 * others as it is.
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
      if (early === mine && mine.signal.aborted && !signal.aborted) early = new AbortController();
    },
  };
}
