/**
 * The pause after a failure of the push service: longer with each in a row, with jitter. Invariant: many pushes that
 * fail together with their session count as one failure.
 */
import type { Clock } from '../../base/clock.ts';

interface PushPause {
  /** 0 if pushes make sense now. */
  remainingMs(): number;
  /** Returns how long the pause is without its jitter, or undefined during one. */
  begin(): number | undefined;
  /** The next pause is a first one again. */
  reset(): void;
}

const maxPauseMs = 60_000;

/** @param firstMs doubles with each failure in a row. */
export function createPushPause(clock: Pick<Clock, 'now'>, firstMs: number): PushPause {
  let failures = 0;
  let until = 0;
  return {
    remainingMs: () => Math.max(0, until - clock.now()),
    begin() {
      if (clock.now() < until) return undefined;
      const delayMs = Math.min(maxPauseMs, firstMs * 2 ** Math.min(failures, 16));
      failures += 1;
      until = clock.now() + delayMs * (1 + Math.random() / 2);
      return delayMs;
    },
    reset: () => {
      failures = 0;
    },
  };
}
