/**
 * Tries a backup: restores it into a PostgreSQL of its own in a temporary folder, copies every table out of that again and
 * compares, and starts the domain's release on it: its administration service and an instance. What passes is recorded in the home,
 * where the check of an upgrade finds it. The domain itself is not touched, and need not run.
 *
 * Invariant: what is started reads the copy as it was backed up, changes nothing of it but its own registration, and reaches nobody.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BrambleError } from '../base/errors.ts';
import { withSnapshot } from '../database/copy/snapshot.ts';
import { digestOf } from '../database/copy/table-digest.ts';
import { installBinaries } from '../database/embedded/binaries.ts';
import { startEmbedded } from '../database/embedded/server.ts';
import { recordVerifiedBackup, type VerifiedBackup } from '../domain/verified-backups.ts';
import { type OpenedBackup, openBackup, renameBackup } from './backup-file.ts';
import { writeHomeFiles } from './home-files.ts';
import { assertInstalledIn } from './installed-release.ts';
import { assertReadable, homeFilesOf, type Program, rebuildDatabase } from './rebuild-database.ts';
import { tryRelease } from './release-trial.ts';
import { withScratchFolder } from './scratch-folder.ts';

export interface VerifyOptions {
  file: string;
  /** What the file is called once it has passed; default as it is. */
  passedAs?: string;
  passphrase: string;
  /** Has the release, PostgreSQL's binaries, and afterwards the record. */
  home: string;
  program: Program;
  /** Who verifies it. */
  by: string;
  /** Where the copy is made; default the system's temporary folder. */
  scratch?: string;
  onProgress?: (step: 'reading' | 'restoring' | 'comparing' | 'starting', done: number, of: number) => void;
  signal?: AbortSignal;
}

const applicationName = 'bramble/backup-verification';

/** Nobody relies on the copy: it need not survive a power failure. */
const settings = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
};

/**
 * @throws BrambleError ERR_BACKUP_FILE, ERR_BACKUP_PASSPHRASE, ERR_BACKUP_RELEASE, ERR_RELEASE_NOT_INSTALLED: nothing was
 *   tried; ERR_BACKUP_UNUSABLE: it was, and the backup is not good
 */
export async function verifyBackup(options: VerifyOptions): Promise<VerifiedBackup> {
  const { file, passphrase, home, program, signal, onProgress = () => {} } = options;
  const backup = await openBackup(file, passphrase, (done, of) => onProgress('reading', done, of));
  await assertReadable(backup, program);
  const { domain } = backup.head;
  const releases = join(home, 'releases');
  await assertInstalledIn(home, domain);
  const binaries = await installBinaries(join(home, 'postgres'), null);
  return await withScratchFolder('verify', options.scratch, async (folder) => {
    const postgres = join(folder, 'postgres');
    const { url } = await startEmbedded({ folder: postgres, settings, binaries, ...(signal ? { signal } : {}) });
    await rebuildDatabase(url, backup, program, {
      signal,
      onProgress: (done, of) => onProgress('restoring', done, of),
    });
    await compare(url, backup, options);
    onProgress('starting', 0, 1);
    const copyHome = join(folder, 'home');
    await mkdir(copyHome);
    await writeHomeFiles(copyHome, await homeFilesOf(backup));
    const started = await tryRelease({ home: copyHome, databaseUrl: url, release: domain.release, releases });
    onProgress('starting', 1, 1);
    const { passedAs = file } = options;
    if (passedAs !== file) await renameBackup(file, passedAs);
    const { tables } = backup.manifest;
    const verified: VerifiedBackup = {
      ...{ id: backup.head.id, sha256: backup.sha256, file: passedAs, takenAt: backup.head.takenAt },
      ...{ domainId: domain.id, domain: domain.name, release: domain.release, schemaVersion: domain.schemaVersion },
      ...{ verifiedAt: new Date().toISOString(), verifiedBy: options.by },
      found: { tables: tables.length, rows: tables.reduce((sum, { rows }) => sum + rows, 0), started },
    };
    await recordVerifiedBackup(home, verified);
    return verified;
  });
}

/** Copies every table out of the restored database, as it was copied out of the domain's. */
async function compare(url: string, { manifest }: OpenedBackup, { signal, onProgress }: VerifyOptions): Promise<void> {
  await withSnapshot(url, { applicationName, signal }, async (snapshot) => {
    for (const [index, table] of manifest.tables.entries()) {
      const { rows, sha256 } = await digestOf(snapshot, table);
      if (rows !== table.rows || sha256 !== table.sha256) {
        throw new BrambleError(
          'ERR_BACKUP_UNUSABLE',
          `The table ${table.name} is not restored as it was: ${rows} rows instead of ${table.rows}, or other contents. The ` +
            'backup is not verified; make another one.',
        );
      }
      onProgress?.('comparing', index + 1, manifest.tables.length);
    }
  });
}
