/**
 * Paces a look that may go through all that is open in the domain, whoever owes it.
 * Invariant: it costs its share of the time at most, however long it takes; whoever comes too early is told when to come again.
 */
import { type Clock, hasPassed } from '../base/clock.ts';

export interface PacedLook {
  /** 0 where it may be looked now. */
  dueInMs(): number;
  look<Found>(at: () => Promise<Found>): Promise<Found>;
}

/** However long a look took, or seems to have taken where the clock was put right meanwhile. */
const longestPauseMs = 60_000;

/** A look is followed by the next one no sooner than `durations` times its own duration after it began. */
export function createPacedLook(clock: Pick<Clock, 'now'>, durations: number): PacedLook {
  let startedAt = Number.NEGATIVE_INFINITY;
  let pauseMs = 0;
  return {
    dueInMs: () => (hasPassed(clock, startedAt, pauseMs) ? 0 : startedAt + pauseMs - clock.now()),
    async look(at) {
      const began = clock.now();
      const found = await at();
      startedAt = began;
      pauseMs = Math.min(longestPauseMs, durations * (clock.now() - began));
      return found;
    },
  };
}
