/**
 * A database made from a backup: the schema by this program's own migrations, as far as the backed-up one had come, then
 * the rows, then the sequences.
 */

import { BrambleError } from '../base/errors.ts';
import { compareReleases } from '../base/release-number.ts';
import { loadDatabase } from '../database/copy/load.ts';
import { migrate } from '../database/migrate.ts';
import { readMigrations } from '../database/migration-files.ts';
import type { OpenedBackup } from './backup-file.ts';
import { type HomeFiles, homeFilesShape } from './home-files.ts';
import { folderOf } from './table-parts.ts';

export interface Program {
  release: string;
  /** Folder of its `sql/`. */
  migrations: string;
}

/**
 * Before anything is made.
 * @throws BrambleError ERR_BACKUP_RELEASE for a backup of a later release, ERR_MIGRATION_CHANGED
 */
export async function assertReadable({ head, manifest }: OpenedBackup, program: Program): Promise<void> {
  const own = await readMigrations(program.migrations);
  const isLater = compareReleases(head.domain.release, program.release) > 0;
  if (isLater || manifest.migrations.length > own.length) {
    // After an upgrade was reversed, what it had added stays, and the domain's release does not tell.
    const needed = isLater ? `${head.domain.release} or later` : 'the release that the domain was being upgraded to';
    throw new BrambleError(
      'ERR_BACKUP_RELEASE',
      `The backup is of a domain of release ${head.domain.release} with ${manifest.migrations.length} migrations, and this ` +
        `is ${program.release}, which knows ${own.length}. Nothing was changed. Use the program of ${needed}.`,
    );
  }
  for (const { number, digest } of manifest.migrations) {
    if (own[number - 1]?.digest === digest) continue;
    throw new BrambleError(
      'ERR_MIGRATION_CHANGED',
      `The backup's database was made by a migration ${number} that is not this release's. Use an unmodified archive of ` +
        `${head.domain.release} or later.`,
    );
  }
}

/** Fills an empty database. `afterSchema` runs when the tables are there, and no row. */
export async function rebuildDatabase(
  url: string,
  backup: OpenedBackup,
  program: Program,
  options: {
    afterSchema?: () => Promise<void>;
    onProgress?: (rows: number, of: number) => void;
    signal?: AbortSignal | undefined;
  } = {},
): Promise<void> {
  const { manifest } = backup;
  const applicationName = 'bramble/restore';
  const upTo = manifest.migrations.length;
  await migrate(url, { folder: program.migrations, release: program.release, contract: true, upTo, applicationName });
  options.signal?.throwIfAborted();
  await options.afterSchema?.();
  const all = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
  await loadDatabase(url, { applicationName, signal: options.signal }, async (load) => {
    const parts = backup.parts();
    let part = await parts.next();
    let done = 0;
    async function* rowsOf(name: string): AsyncGenerator<Buffer> {
      for (; !part.done && part.value.name.startsWith(folderOf(name)); part = await parts.next())
        yield part.value.plain;
    }
    if (!part.done && part.value.name === 'home') part = await parts.next();
    for (const table of manifest.tables) {
      await load.table(table, rowsOf(table.name));
      done += table.rows;
      options.onProgress?.(done, all);
    }
    await load.sequences(manifest.sequences);
  });
}

/** The home's files in it. */
export async function homeFilesOf(backup: OpenedBackup): Promise<HomeFiles> {
  for await (const { name, plain } of backup.parts()) {
    if (name === 'home') return homeFilesShape.parse(JSON.parse(plain.toString('utf8')));
    break;
  }
  throw new BrambleError('ERR_BACKUP_FILE', `The backup ${backup.path} has no files of a home.`);
}
