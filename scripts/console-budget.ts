/**
 * Holds what a browser loads before the first page of the console against its budget, as compressed as a browser gets it; part
 * of `npm run check`. Pages that are loaded when they are opened do not count.
 */
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { buildConsole } from './console-build.ts';

/** In bytes, after gzip. */
const budget = { '.js': 200_000, '.css': 45_000 };
const words = { '.js': 'script', '.css': 'style' };

const { files, firstLoad } = await buildConsole(path.dirname(import.meta.dirname));
const loaded = Object.entries(budget).map(([ending, limit]) => {
  const names = firstLoad.filter((name) => name.endsWith(ending));
  const bytes = names.reduce((sum, name) => sum + gzipSync(files.get(name) ?? '', { level: 9 }).length, 0);
  return { what: words[ending as keyof typeof budget], bytes, limit };
});
const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
console.log(
  `First load of the console: ${loaded.map(({ what, bytes, limit }) => `${kilobytes(bytes)} of ${what} (at most ${kilobytes(limit)})`).join(', ')}.`,
);
for (const { what, bytes, limit } of loaded) {
  if (bytes === 0) throw new Error(`No ${what} was found in the first load of the console.`);
  if (bytes <= limit) continue;
  console.error(`The first load of the console has ${kilobytes(bytes - limit)} of ${what} too much.`);
  process.exitCode = 1;
}
