/**
 * Makes a backup: one snapshot of the domain's database, and this host's home, in one file.
 *
 * Nothing of the domain waits for it: it reads, and holds only what keeps the schema from changing meanwhile. It may run
 * during an upgrade, with components of two releases at work.
 */
import { randomUUID } from 'node:crypto';
import { BrambleError, isBrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { type Snapshot, withSnapshot } from '../database/copy/snapshot.ts';
import { masterKeyFile } from '../database/sealed-value.ts';
import { readDomain } from '../domain/domain.ts';
import { readMasterKeyState } from '../domain/master-key.ts';
import { createdEvent, failedEvent, noteEvent } from './backup-events.ts';
import { createBackupFile } from './backup-file.ts';
import { type HomeFiles, readHomeFiles } from './home-files.ts';
import type { BackupHead, BackupManifest, TableFacts } from './manifest.ts';
import { ownDatabase } from './own-database.ts';
import { newBackupKeys } from './passphrase-key.ts';
import { inParts } from './table-parts.ts';

const applicationName = 'bramble/backup';

export interface CreateOptions {
  home: string;
  passphrase: string;
  /** The file, once it is known what it is a backup of. */
  pathOf: (head: BackupHead) => string;
  /** Of this program. */
  release: string;
  /** Who makes it, on this host. */
  user: string;
  onProgress?: (done: number, of: number) => void;
  signal?: AbortSignal;
}

export interface CreatedBackup {
  path: string;
  head: BackupHead;
  sha256: string;
  tables: number;
  rows: number;
}

/**
 * One that fails, unless it was ended on purpose, is an event, too: a backup made by a timer is watched by nobody.
 * @throws BrambleError ERR_BACKUP_PASSPHRASE, ERR_BACKUP_TARGET, ERR_BACKUP_WRITE, and those of {@link ownDatabase}
 */
export async function createBackup(options: CreateOptions): Promise<CreatedBackup> {
  try {
    return await makeBackup(options);
  } catch (error) {
    if (options.signal?.aborted !== true && !isBrambleError(error, 'ERR_BACKUP_PASSPHRASE')) {
      const { url, host } = await ownDatabase(options.home);
      // Where the database is what failed, nobody can be told by way of it.
      await noteEvent(url, failedEvent(options.user, host, error)).catch(() => {});
    }
    throw error;
  }
}

/** The same, without telling that it failed. @throws as {@link createBackup} */
export async function makeBackup(options: CreateOptions): Promise<CreatedBackup> {
  const { url, host } = await ownDatabase(options.home);
  const key = await newBackupKeys(options.passphrase);
  const made = await writeBackup(options, { url, host, key });
  // The file is complete and its path is returned, even if the event about it cannot be written.
  await noteEvent(url, createdEvent(made)).catch(() => {});
  return made;
}

async function writeBackup(
  options: CreateOptions,
  { url, host, key }: { url: string; host: string; key: Awaited<ReturnType<typeof newBackupKeys>> },
): Promise<CreatedBackup> {
  const { home, signal } = options;
  // Before the snapshot: see there.
  const files = await readHomeFiles(home);
  return await withSnapshot(url, { applicationName, signal }, async (snapshot): Promise<CreatedBackup> => {
    const { domainId, name, publicUrl, release, schemaVersion, featureLevel } = await readDomain(snapshot.q);
    await assertSealedBy(snapshot.q, files, home);
    const head: BackupHead = {
      format: 1,
      id: randomUUID(),
      takenAt: snapshot.at.toISOString(),
      domain: { id: domainId, name, publicUrl, release, schemaVersion, featureLevel },
      madeBy: { release: options.release, user: options.user, host },
      key: key.facts,
    };
    const path = options.pathOf(head);
    const file = await createBackupFile(path, head, key.keys);
    try {
      await file.add('home', Buffer.from(JSON.stringify(files)));
      const tables = await copyTables(snapshot, file.add, options);
      const facts = { migrations: await listMigrations(snapshot), tables, sequences: await snapshot.sequences() };
      const sha256 = await file.finish(facts);
      return { path, head, sha256, tables: tables.length, rows: tables.reduce((sum, { rows }) => sum + rows, 0) };
    } catch (error) {
      await file.abandon();
      throw error;
    }
  });
}

/** Of a domain whose master key was rotated a home may still have the former key alone: nothing in such a backup could be opened. */
async function assertSealedBy(q: Queryable, files: HomeFiles, home: string): Promise<void> {
  const { sealing } = await readMasterKeyState(q);
  const { keys } = masterKeyFile.parse(
    JSON.parse(Buffer.from(files['keys/master.json'] ?? '', 'base64').toString('utf8')),
  );
  if (sealing === null || sealing in keys) return;
  throw new BrambleError(
    'ERR_MASTER_KEY',
    `${home} lacks the master key that seals the domain's secrets (${sealing}): a backup with its keys/master.json could not be ` +
      'restored. Components fetch the key when they start: run `bramble up` here, or make the backup on another host.',
  );
}

async function copyTables(
  snapshot: Snapshot,
  add: (name: string, part: Buffer) => Promise<void>,
  { onProgress = () => {}, signal }: CreateOptions,
): Promise<TableFacts[]> {
  const all = snapshot.tables.reduce((sum, table) => sum + table.sizeBytes, 0);
  const facts: TableFacts[] = [];
  let before = 0;
  for (const table of snapshot.tables) {
    let copied = 0;
    const taken = async (name: string, part: Buffer) => {
      signal?.throwIfAborted();
      await add(name, part);
      copied += part.length;
      onProgress(before + Math.min(copied, table.sizeBytes), all);
    };
    facts.push(await inParts(table, await snapshot.rows(table), taken));
    before += table.sizeBytes;
    onProgress(before, all);
  }
  return facts;
}

async function listMigrations({ q }: Snapshot): Promise<BackupManifest['migrations']> {
  return await q<BackupManifest['migrations']>`select number, name, digest from migration order by number`;
}
