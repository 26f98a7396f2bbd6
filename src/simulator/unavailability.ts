/** How long an account was without service: the measure of every move, computed from what its devices saw. */

/** Milliseconds since the epoch, both ends included. */
interface TimeWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * The longest time between two successes of a closed loop that touches the window, less the median time between two.
 * The median is taken over all given times, because a window can be shorter than a few round trips. A loop that had not
 * succeeded again by the end counts up to the window's end; one without any success counts the whole window.
 * @param successTimes milliseconds since the epoch, ascending; also from before and after the window
 */
export function unavailabilityMs(successTimes: readonly number[], window: TimeWindow): number {
  const gaps: number[] = [];
  let maxMs = 0;
  let previous: number | undefined;
  for (const time of successTimes) {
    if (previous !== undefined) {
      gaps.push(time - previous);
      if (previous < window.toMs && time > window.fromMs) maxMs = Math.max(maxMs, time - previous);
    }
    previous = time;
  }
  const first = successTimes[0];
  if (first === undefined || previous === undefined) return window.toMs - window.fromMs;
  if (first > window.fromMs) maxMs = Math.max(maxMs, Math.min(first, window.toMs) - window.fromMs);
  if (previous < window.toMs) maxMs = Math.max(maxMs, window.toMs - Math.max(previous, window.fromMs));
  return Math.max(0, maxMs - median(gaps));
}

/**
 * The value below which the given share of the values lies (nearest rank).
 * @param share 0 to 1
 * @returns 0 when there are no values
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? 0;
}

function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const upper = sorted[sorted.length >> 1] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[(sorted.length >> 1) - 1] ?? 0) + upper) / 2;
}
