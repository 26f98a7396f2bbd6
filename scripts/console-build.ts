/** The console's part of a release: what a browser loads, by its path below `console/`. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Entries } from '../src/release/tar-entries.ts';

/** The same tree gives the same bytes. Files below `assets/` have a digest of their contents in their names, and no others have. */
export async function buildConsole(tree: string): Promise<Entries> {
  return new Map([['index.html', await readFile(path.join(tree, 'src/console/placeholder.html'))]]);
}
