/**
 * The console's built files, from the `console/` folders of the own release and of those installed beside it: a page that was
 * loaded before an upgrade goes on loading the parts that it was built with.
 *
 * Invariant: only plain names are looked for, as the manifest of a release has them: none begins with a dot, and none is decoded,
 * so that nothing outside of such a folder can be named.
 */
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';

interface ConsoleFile {
  readonly bytes: Buffer;
  readonly type: string;
  /** Its name tells its contents, so that it never changes. */
  readonly immutable: boolean;
}

export type ConsoleFiles = (path: string) => Promise<ConsoleFile | null>;

const plainPath = /^\/(?:[A-Za-z0-9_][A-Za-z0-9._-]*\/)*[A-Za-z0-9_][A-Za-z0-9._-]*$/;
const maxPathLength = 200;
/** Where the build puts files whose names contain a digest of their contents. */
const hashed = '/assets/';
const page = '/index.html';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

/** @param folders those with the console of each installed release, the own one first; looked up where one lacks the file */
export function consoleFiles(folders: () => AsyncIterable<string>): ConsoleFiles {
  return async (path) => {
    const file = await find(folders, path);
    // Whatever else is asked for is a place within the page, which the page itself knows.
    return file ?? (path.startsWith(hashed) ? null : await find(folders, page));
  };
}

async function find(folders: () => AsyncIterable<string>, path: string): Promise<ConsoleFile | null> {
  if (path.length > maxPathLength || !plainPath.test(path)) return null;
  const immutable = path.startsWith(hashed);
  for await (const folder of folders()) {
    const bytes = await readFile(join(folder, path)).catch(() => null);
    if (bytes !== null) return { bytes, type: types[extname(path)] ?? 'application/octet-stream', immutable };
    // Only these are the same in every release that has them.
    if (!immutable) return null;
  }
  return null;
}
