/**
 * Paces a query that may go through everything open in the domain, of any instance. Invariant: it takes at most its
 * share of the time, however long it runs; a caller that is too early is told when to retry.
 */
import { type Clock, hasPassed } from '../base/clock.ts';

export interface PacedLook {
  /** 0 if the query may run now. */
  dueInMs(): number;
  look<Found>(at: () => Promise<Found>): Promise<Found>;
}

/** Upper bound, however long the query took, or seems to have taken because the clock was adjusted. */
const maxPauseMs = 60_000;

/** The next query starts no sooner than `durations` times the last one's duration after that one started. */
export function createPacedLook(clock: Pick<Clock, 'now'>, durations: number): PacedLook {
  let startedAt = Number.NEGATIVE_INFINITY;
  let pauseMs = 0;
  return {
    dueInMs: () => (hasPassed(clock, startedAt, pauseMs) ? 0 : startedAt + pauseMs - clock.now()),
    async look(at) {
      const began = clock.now();
      const found = await at();
      startedAt = began;
      pauseMs = Math.min(maxPauseMs, durations * (clock.now() - began));
      return found;
    },
  };
}
