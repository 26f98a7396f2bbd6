/** For tests only: properties whose runs wait for something and may therefore hang. */

interface EndingRuns {
  readonly timeout: number;
  readonly interruptAfterTimeLimit: number;
  readonly markInterruptAsFailure: true;
}

/**
 * Options for `fc.assert`: a run that hangs fails before the test's own time-out of `limitMs`, and therefore names its
 * seed, which a timed-out test does not.
 */
export function endingWithin(limitMs = 300_000): EndingRuns {
  return { timeout: limitMs / 4, interruptAfterTimeLimit: limitMs * 0.8, markInterruptAsFailure: true };
}
