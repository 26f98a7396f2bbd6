/** The backups in a folder, by the heads of the files. What is no backup there is left alone. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BrambleError, isBrambleError } from '../base/errors.ts';
import { readBackupHead } from './backup-file.ts';
import type { BackupHead } from './manifest.ts';

const extension = '.backup';

interface FoundBackup {
  file: string;
  sizeBytes: number;
  head: BackupHead;
}

/** Newest first. @throws BrambleError ERR_INPUT when it is no folder */
export async function listBackups(folder: string): Promise<FoundBackup[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new BrambleError('ERR_INPUT', `"${folder}" cannot be read as a folder.`, { cause });
  });
  const found: FoundBackup[] = [];
  for (const name of names.filter((each) => each.endsWith(extension))) {
    const file = join(folder, name);
    const head = await readBackupHead(file).catch((error: unknown) => {
      if (isBrambleError(error, 'ERR_BACKUP_FILE')) return undefined;
      throw error;
    });
    if (head !== undefined) found.push({ file, sizeBytes: (await stat(file)).size, head });
  }
  return found.sort((one, other) => other.head.takenAt.localeCompare(one.head.takenAt));
}

/** Removes the oldest backups of a domain until `keep` are left. @returns the removed files */
export async function removeOldBackups(folder: string, domainId: string, keep: number): Promise<string[]> {
  const own = (await listBackups(folder)).filter(({ head }) => head.domain.id === domainId);
  const old = own.slice(keep).map(({ file }) => file);
  for (const file of old) await rm(file);
  return old;
}

/** `example-20261127T080000Z.backup` */
export function fileNameOf({ domain, takenAt }: BackupHead): string {
  const name =
    domain.name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '') || 'bramble';
  return `${name}-${takenAt.replace(/\.\d+/, '').replace(/[-:]/g, '')}${extension}`;
}
