/** For tests only: properties whose runs wait for something, so that one may hang. */

export interface EndingRuns {
  readonly timeout: number;
  readonly interruptAfterTimeLimit: number;
  readonly markInterruptAsFailure: true;
}

/**
 * Options for `fc.assert`: what hangs, fails before the test's own time-out of `limitMs` ends it, and so names its seed, which
 * a test that the clock ends does not.
 */
export function endingWithin(limitMs = 300_000): EndingRuns {
  return { timeout: limitMs / 4, interruptAfterTimeLimit: limitMs * 0.8, markInterruptAsFailure: true };
}
