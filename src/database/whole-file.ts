/** Files of secrets: for their owner alone, and whole or not there at all, however the writer ends. */
import { randomBytes } from 'node:crypto';
import { link, rename, rm, writeFile } from 'node:fs/promises';

/** With `wx` it never overwrites one (EEXIST). */
export async function writeWholeFile(path: string, text: string, flag: 'wx' | 'w'): Promise<void> {
  const fresh = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(fresh, text, { mode: 0o600, flag: 'wx', flush: true });
    if (flag === 'w') await rename(fresh, path);
    else await link(fresh, path);
  } finally {
    await rm(fresh, { force: true });
  }
}
