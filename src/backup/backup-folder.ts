/**
 * The backups in a folder, by the heads of the files. What is no backup there is left alone. One that has still to be tried, did not pass,
 * or whose trial never ended, is called `….backup.unverified`: it counts for nothing, and of each host there is one at most.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BrambleError, isBrambleError } from '../base/errors.ts';
import { readBackupHead } from './backup-file.ts';
import type { BackupHead } from './manifest.ts';

const extension = '.backup';
export const unverifiedSuffix = '.unverified';

interface FoundBackup {
  file: string;
  sizeBytes: number;
  head: BackupHead;
}

/** Newest first. @throws BrambleError ERR_INPUT when it is no folder */
export async function listBackups(folder: string): Promise<FoundBackup[]> {
  return await list(folder, extension);
}

async function list(folder: string, ending: string): Promise<FoundBackup[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new BrambleError('ERR_INPUT', `"${folder}" cannot be read as a folder.`, { cause });
  });
  const found: FoundBackup[] = [];
  for (const name of names.filter((each) => each.endsWith(ending))) {
    const file = join(folder, name);
    const head = await readBackupHead(file).catch((error: unknown) => {
      if (isBrambleError(error, 'ERR_BACKUP_FILE')) return undefined;
      throw error;
    });
    if (head !== undefined) found.push({ file, sizeBytes: (await stat(file)).size, head });
  }
  return found.sort((one, other) => other.head.takenAt.localeCompare(one.head.takenAt));
}

/**
 * Removes the oldest that the host of `made` made of its domain until `keep` are left. `made` stays, also where a clock that was ahead has
 * dated others later. @returns the removed files
 */
export async function removeOldBackups(folder: string, made: BackupHead, keep: number): Promise<string[]> {
  const others = (await listBackups(folder)).filter(({ head }) => head.id !== made.id && isOfSameHost(head, made));
  const old = others.slice(keep - 1).map(({ file }) => file);
  for (const file of old) await rm(file);
  return old;
}

/** Those that never passed, but for `made` itself. */
export async function removeUnverified(folder: string, made: BackupHead): Promise<void> {
  for (const { file, head } of await list(folder, `${extension}${unverifiedSuffix}`)) {
    if (head.id !== made.id && isOfSameHost(head, made)) await rm(file);
  }
}

function isOfSameHost(one: BackupHead, other: BackupHead): boolean {
  return one.domain.id === other.domain.id && one.madeBy.host === other.madeBy.host;
}

/** `example-berlin-20261127T080000Z.backup`: by the host, since several may write to one folder. */
export function fileNameOf({ domain, madeBy, takenAt }: BackupHead): string {
  const time = takenAt.replace(/\.\d+/, '').replace(/[-:]/g, '');
  return `${wordOf(domain.name, 'bramble')}-${wordOf(madeBy.host, 'host')}-${time}${extension}`;
}

function wordOf(text: string, otherwise: string): string {
  const word = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return word || otherwise;
}
