/**
 * How long requests took, in bins that grow by √2: small enough to keep one for each account, and exact enough to tell a
 * tail from a mean. Bin i holds what took [2^(i/2), 2^((i+1)/2)) ms; the first also what was faster, the last all that was
 * slower (from 33 s on). The database keeps it as an array that may end before the last bin (`request_outcome.latency`).
 *
 * Invariant: merging loses nothing. What is said of merged histograms is what would be said of all requests together.
 */

/** Counts by bin; what the array is short of is zero. */
export type LatencyHistogram = readonly number[];

export const latencyBins = 31;

/** The least latency of a bin, in ms; that of `latencyBins` is where the last one is taken to end. */
export function lowerBoundMs(bin: number): number {
  return 2 ** (bin / 2);
}

export function binOf(latencyMs: number): number {
  if (!(latencyMs > 1)) return 0;
  const bin = Math.min(latencyBins - 1, Math.floor(2 * Math.log2(latencyMs)));
  // The logarithm of a bound may come out a hair beside it.
  if (bin + 1 < latencyBins && latencyMs >= lowerBoundMs(bin + 1)) return bin + 1;
  return latencyMs < lowerBoundMs(bin) ? bin - 1 : bin;
}

/** Counts one request, in place: the array grows up to its bin. */
export function addLatency(histogram: number[], latencyMs: number): void {
  const bin = binOf(latencyMs);
  while (histogram.length <= bin) histogram.push(0);
  histogram[bin] = (histogram[bin] ?? 0) + 1;
}

export function mergeHistograms(...histograms: readonly LatencyHistogram[]): LatencyHistogram {
  const length = Math.max(0, ...histograms.map((each) => each.length));
  return Array.from({ length }, (_, bin) => histograms.reduce((sum, each) => sum + (each[bin] ?? 0), 0));
}

export function countOf(histogram: LatencyHistogram): number {
  return histogram.reduce((sum, count) => sum + count, 0);
}

/**
 * The latency in ms that a share of the requests does not exceed; within a bin the logarithms are taken as evenly spread,
 * so that it is off by a factor of √2 at most. Null without any request. @param share in [0, 1]: 0.95 for p95
 */
export function quantileMs(histogram: LatencyHistogram, share: number): number | null {
  const total = countOf(histogram);
  if (total === 0) return null;
  const rank = share * total;
  let below = 0;
  let last = 0;
  for (const [bin, count] of histogram.entries()) {
    if (count === 0) continue;
    if (below + count >= rank) return lowerBoundMs(bin + Math.max(0, rank - below) / count);
    below += count;
    last = bin;
  }
  return lowerBoundMs(last + 1);
}
