/**
 * Tries a release on a copy of the domain as it was backed up: an administration service, then an instance.
 *
 * Invariant: they change nothing of the copy but what `written` names, and reach nobody. They may read everything, and their statements
 * are carried out but for the rows: a release that does not work with the data shows it.
 */
import { withDatabase } from '../database/connection.ts';
import { freeze } from '../database/copy/frozen.ts';
import { findInstance, startInstanceOn } from './instance-on-copy.ts';
import { notVerified, prepareCopy, startReleaseOn } from './release-on-copy.ts';

/** Components register, and the audit's sealer seals what waited for it: its head would be ahead of the table otherwise. */
const written = ['component', 'audit_seal'];

interface Trial {
  /** With the keys of the backup. */
  home: string;
  databaseUrl: string;
  release: string;
  /** Where the release is installed. */
  releases: string;
}

/** @returns what was done, in words @throws BrambleError ERR_BACKUP_UNUSABLE */
export async function tryRelease(trial: Trial): Promise<string> {
  const { home, databaseUrl, release } = trial;
  return await withDatabase(databaseUrl, 'bramble/backup-verification', async (db) => {
    const token = await prepareCopy(db, home);
    await freeze(db, written);
    const { said } = await startReleaseOn({ ...trial, token }, notVerified);
    const instance = await findInstance(db, home);
    if (instance === undefined) return `${said}; no instance has its credential in the backup: none was started`;
    return `${said}; ${await startInstanceOn({ db, databaseUrl, home, release }, instance, notVerified)}`;
  });
}
