/**
 * How long requests took, in bins that grow by √2: small enough to keep one for each account, and exact enough to tell
 * a tail from a mean. Bin i counts requests that took [2^(i/2), 2^((i+1)/2)) ms; the first also faster ones, the last
 * all slower ones (33 s and up). The database keeps it as an array that may end before the last bin
 * (`request_outcome.latency`).
 *
 * Invariant: merging loses nothing. Merged histograms give the same answers as one histogram of all the requests.
 */

/** Counts by bin; bins beyond the end of the array are zero. */
export type LatencyHistogram = readonly number[];

export const latencyBins = 31;

/** The lower bound of a bin, in ms; the one for `latencyBins` is the assumed upper bound of the last bin. */
export function lowerBoundMs(bin: number): number {
  return 2 ** (bin / 2);
}

export function binOf(latencyMs: number): number {
  if (!(latencyMs > 1)) return 0;
  const bin = Math.min(latencyBins - 1, Math.floor(2 * Math.log2(latencyMs)));
  // The logarithm of a bound may be off by a rounding error.
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
 * The latency in ms that the given share of requests does not exceed. Logarithms are assumed evenly spread within a
 * bin, so it is off by a factor of √2 at most. Null if there are no requests. @param share in [0, 1]: 0.95 for p95
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
