/**
 * In which order test files run, several at once. What has a whole domain takes longest: the largest of these is the first
 * file, and the others are spread among the small ones, so that neither the machine nor the end of the run is theirs alone.
 */
export interface TestFile {
  readonly path: string;
  readonly sizeBytes: number;
}

/** Size stands in for duration: a clean checkout knows no durations. */
export function testOrder(files: readonly TestFile[]): string[] {
  const bySize = [...files].sort((a, b) => b.sizeBytes - a.sizeBytes || (a.path < b.path ? -1 : 1));
  const isLong = ({ path }: TestFile) => /(^|\/)test\/system\//.test(path);
  const long = bySize.filter(isLong);
  const short = bySize.filter((file) => !isLong(file));
  // The last fifth of the small ones has none among it.
  const between = Math.max(1, Math.floor((short.length * 0.8) / Math.max(1, long.length)));
  const order: TestFile[] = [];
  for (const file of long) order.push(file, ...short.splice(0, between));
  return [...order, ...short].map(({ path }) => path);
}
