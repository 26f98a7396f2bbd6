/**
 * Paces a look that may go through all that is open in the domain, whoever owes it.
 * Invariant: it costs its share of the time at most, however long it takes; whoever comes too early is told when to come again.
 */
import type { Clock } from '../../base/clock.ts';

export interface PacedLook {
  /** 0 where it may be looked now. */
  dueInMs(): number;
  look<Found>(at: () => Promise<Found>): Promise<Found>;
}

/** A look is followed by the next one no sooner than `durations` times its own duration after it began. */
export function createPacedLook(clock: Pick<Clock, 'now'>, durations: number): PacedLook {
  let dueAt = 0;
  return {
    dueInMs: () => Math.max(0, dueAt - clock.now()),
    async look(at) {
      const startedAt = clock.now();
      const found = await at();
      dueAt = startedAt + durations * (clock.now() - startedAt);
      return found;
    },
  };
}
