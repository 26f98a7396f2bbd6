/** Where the built files of the console are: in the program that runs, and in the releases that are installed beside it. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { programFolder } from './program.ts';

/** The own one first; the others are looked for only if it does not suffice. */
export async function* consoleFolders(home: string): AsyncGenerator<string> {
  yield path.join(programFolder(), 'console');
  const releases = path.join(home, 'releases');
  for (const release of await readdir(releases).catch(() => [])) yield path.join(releases, release, 'console');
}
