/** What options of lists say in the help. */

export const afterText = 'continue behind the page that named this';

/** @param sorts the first is the default */
export function orderText(sorts: readonly string[]): string {
  return `order: ${sorts.join(', ')}; a leading - reverses it (default: ${sorts[0]})`;
}
