/**
 * Limits log lines that outsiders can trigger at will: the first of each kind is written at once, then one a minute
 * with the number of occurrences.
 */
import { BoundedMap } from './bounded-map.ts';
import { type Clock, hasPassed, systemClock } from './clock.ts';

export interface SparseLog {
  /** Calls `write` with the number of times since the last line of this kind, this one included; or not at all. */
  say(kind: string, write: (times: number) => void): void;
}

const periodMs = 60_000;
const maxKinds = 1000;

export function createSparseLog(clock: Pick<Clock, 'now'> = systemClock): SparseLog {
  // When there are too many kinds, the oldest is forgotten: its next line counts as a first again.
  const said = new BoundedMap<string, { atMs: number; held: number }>(maxKinds);
  return {
    say: (kind, write) => {
      const last = said.get(kind);
      if (last && !hasPassed(clock, last.atMs, periodMs)) {
        last.held += 1;
        return;
      }
      said.set(kind, { atMs: clock.now(), held: 0 });
      write((last?.held ?? 0) + 1);
    },
  };
}
