/**
 * Files that outlive a power failure. Contents are on the disk before a rename gives them their name; the name is
 * durable once its folder is synced.
 */
import { open } from 'node:fs/promises';

/** Resolves once the contents are on the disk. @param flag as of `open`; default `w` */
export async function writeDurably(
  path: string,
  contents: string | Buffer,
  { mode, flag = 'w' }: { mode: number; flag?: 'w' | 'wx' },
): Promise<void> {
  const file = await open(path, flag, mode);
  try {
    await file.writeFile(contents);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Syncs the folder's entries to the disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
