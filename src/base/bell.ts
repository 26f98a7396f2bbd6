/** A rest that somebody's word ends: one that is said while nobody rests ends the next rest at once. */
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
      await clock.sleep(durationMs, AbortSignal.any([signal, early.signal])).catch(() => {});
      early = new AbortController();
    },
  };
}
