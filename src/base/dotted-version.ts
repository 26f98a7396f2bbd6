/**
 * Versions of systems and device software, as devices name them.
 * Invariant: a version that is missing or unreadable counts as the lowest one, so that nothing is sent that a device might
 * not understand.
 */

/**
 * Negative, zero or positive, comparing the numbers between the dots; `4` equals `4.0`; anything after a non-digit is
 * ignored.
 */
export function compareVersions(a: string, b: string): number {
  const left = numbersOf(a);
  const right = numbersOf(b);
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(version: string): number[] {
  const leading = /^\d+(\.\d+)*/.exec(version.trim())?.[0] ?? '0';
  return leading.split('.').map((part) => Math.min(Number(part), Number.MAX_SAFE_INTEGER));
}
