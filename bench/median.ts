/** The middle of some figures; of an even number the upper one of the two, so that it was really measured. 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[sorted.length >> 1] ?? 0;
}
