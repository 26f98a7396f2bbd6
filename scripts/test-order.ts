/**
 * In which order test files run, several at once. What has a whole domain takes longest: those of these that may take longest
 * come first, and the others are spread among the rest, so that neither the machine nor the end of the run is theirs alone. Of
 * the rest, other long ones come first: a small file that waits long would be the only one left at the end.
 */
import { isLong } from './test-selection.ts';

export interface TestFile {
  /** Relative to the checkout. */
  readonly path: string;
  readonly sizeBytes: number;
  /** The longest that one of its tests may take. */
  readonly limitMs: number;
}

/** Of a test that says nothing else. */
export const usualLimitMs = 300_000;

/** As the text of a test file says. Pure. */
export function limitIn(text: string): number {
  const said = [...text.matchAll(/\btimeout: ([\d_]+)/g)].map(([, ms = '']) => Number(ms.replaceAll('_', '')));
  return Math.max(usualLimitMs, ...said);
}

/** What tests may take and how large they are stand in for duration: a clean checkout knows no durations. */
export function testOrder(files: readonly TestFile[]): string[] {
  const bySize = [...files].sort((a, b) => b.sizeBytes - a.sizeBytes || (a.path < b.path ? -1 : 1));
  const hasDomain = ({ path }: TestFile) => path.startsWith('test/system/');
  const others = bySize.filter((file) => !hasDomain(file));
  const rest = [...others.filter(({ path }) => isLong(path)), ...others.filter(({ path }) => !isLong(path))];
  const domains = bySize.filter(hasDomain).sort((a, b) => b.limitMs - a.limitMs);
  // The last fifth of the rest has none among it.
  const between = Math.max(1, Math.floor((rest.length * 0.8) / Math.max(1, domains.length)));
  const order: TestFile[] = [];
  for (const file of domains) order.push(file, ...rest.splice(0, between));
  return [...order, ...rest].map(({ path }) => path);
}
