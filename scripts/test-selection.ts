/**
 * Which test files there are, and which of them are quick. This is the one place that says so.
 *
 * A file is *long*, and is run by `npm test` only, when it starts processes of the program, builds or reads sealed releases,
 * has a PostgreSQL of its own, takes more than some two seconds of a processor for another reason (many scrypts, whole
 * upgrades), or waits ten seconds for a limit of the program's to pass. Its name tells: it ends in `.long.test.ts`, or the
 * file lies in `test/`, but for `test/schema/`. All others are quick: `npm run test:fast` runs them.
 */
import { glob } from 'node:fs/promises';

/** Relative to the checkout. */
export const allTests = ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts', 'test/**/*.test.ts'];

export function isLong(file: string): boolean {
  return file.endsWith('.long.test.ts') || (file.startsWith('test/') && !file.startsWith('test/schema/'));
}

/** Relative to the checkout, sorted. */
export async function testFiles(patterns: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for await (const name of glob([...patterns], { exclude: ['**/node_modules/**'] }))
    files.push(name.replaceAll('\\', '/'));
  return files.sort();
}

/** What is printed before the quick tests. */
export function sayQuick(quick: readonly string[], long: readonly string[]): string {
  const inTest = long.filter((file) => file.startsWith('test/')).length;
  return (
    `Running the ${quick.length} quick test files of src/, scripts/, bench/ and test/schema/. Left out are the ${long.length} long ones, which ` +
    `npm test runs too: ${long.length - inTest} named *.long.test.ts and ${inTest} in test/ (whole processes, sealed releases, ` +
    'whole upgrades).\n'
  );
}
