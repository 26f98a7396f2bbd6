/**
 * When a device tries again after a failed request: soon at first, then with growing delays, never all devices at once.
 */
import type { SeededRandom } from './seeded-random.ts';

export interface RetrySchedule {
  readonly firstMs: number;
  readonly capMs: number;
}

/** Doubles from `firstMs` to `capMs`, ±30 %. Unlimited: a device never gives up on its server. */
export const ordinaryRetry: RetrySchedule = { firstMs: 100, capMs: 10_000 };
/** A probing loop has to see an outage end at once. */
export const probeRetry: RetrySchedule = { firstMs: 5, capMs: 100 };

/** @param attempt 0 for the first retry */
export function retryDelayMs(schedule: RetrySchedule, attempt: number, random: SeededRandom): number {
  return random.around(Math.min(schedule.capMs, schedule.firstMs * 2 ** Math.min(attempt, 20)), 0.3);
}
