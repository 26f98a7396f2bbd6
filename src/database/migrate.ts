/**
 * Applies migrations, safe against a rival: one migrator at a time by advisory lock, each migration in a transaction
 * with a short lock timeout, so that a long transaction in the way delays the migration and never the devices behind
 * it. Indexes of large tables are built beside live traffic (`create index concurrently`): they share no transaction,
 * so a half-built one is dropped and rebuilt, and the migration counts as applied once all exist.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { BrambleError } from '../base/errors.ts';
import { advisoryLock, lockClass } from './advisory-locks.ts';
import { type Database, openDatabase, type Transaction } from './connection.ts';
import { type ConcurrentIndex, type Migration, readMigrations } from './migration-files.ts';
import { applyRights, becomeOwner } from './roles/rights-in-force.ts';
import { inShortLocks, isLockFailure, shortLockAttempts } from './short-locks.ts';

export interface MigrateOptions {
  /** Folder of the release's `sql/`. */
  folder: string;
  /** The release that applies them, for the log. */
  release: string;
  /** Contracting migrations too: for a fresh domain and when finalizing. Otherwise only up to the first one not applied yet. */
  contract: boolean;
  applicationName: string;
  /** The last one to apply, to rebuild a schema that had come so far; default all. */
  upTo?: number;
  /** How often a migration that meets a lock is tried; see `inShortLocks`. */
  attempts?: number;
  onProgress?: (step: { number: number; name: string; backfilledRows?: number }) => void;
}

interface AppliedMigration {
  number: number;
  digest: string;
  backfilled: boolean;
}

/**
 * Brings the database to the newest migration that `contract` allows, and returns its number.
 * @throws BrambleError ERR_MIGRATION_CHANGED when an applied file was edited, ERR_SCHEMA_TOO_NEW when the database
 *   holds migrations that this release does not know, ERR_MIGRATION_BLOCKED when a lock could not be obtained.
 */
export async function migrate(url: string, options: MigrateOptions): Promise<number> {
  const migrations = await readMigrations(options.folder);
  const db = openDatabase(url, { applicationName: options.applicationName, max: 1 });
  try {
    await takeMigrationLock(db);
    await createMigrationTable(db);
    assertKnown(migrations, await listApplied(db));
    let last = 0;
    for (const migration of migrations) {
      if (migration.number > (options.upTo ?? migration.number)) break;
      const done = (await listApplied(db)).get(migration.number);
      if (migration.kind === 'contract' && !options.contract && !done) break;
      if (!done) await applyMigration(db, migration, options);
      if (migration.backfill && !done?.backfilled) await backfill(db, migration, migration.backfill, options);
      last = migration.number;
    }
    await db`update domain set schema_version = ${last} where schema_version < ${last}`;
    await applyRights(db, { revoke: options.contract });
    return last;
  } finally {
    // Every statement was awaited: after a cut connection there is nothing to wait for.
    await db.end({ timeout: 1 });
  }
}

const rivalAskedEveryMs = 100;

async function takeMigrationLock(db: Database): Promise<void> {
  // Held by this pool's only session: it ends with the session, also when the process dies, and no statement continues
  // without it. Polled rather than waited for: a waiting statement has a snapshot, and a concurrent index build waits
  // for that to end.
  for (;;) {
    const [lock] = await db`select pg_try_advisory_lock(${lockClass}, ${advisoryLock.migration}) as taken`;
    if (lock?.['taken'] === true) break;
    await delay(rivalAskedEveryMs);
  }
  await becomeOwner(db, { local: false });
}

async function createMigrationTable(db: Database): Promise<void> {
  await db`
    create table if not exists migration (
      number integer primary key,
      name text not null,
      kind text not null,
      digest text not null,
      release text not null,
      applied_at timestamptz not null default now(),
      backfilled_at timestamptz,
      catalog_fingerprint text
    )`;
}

async function listApplied(db: Database): Promise<Map<number, AppliedMigration>> {
  const rows = await db<AppliedMigration[]>`
    select number, digest, backfilled_at is not null as backfilled from migration order by number`;
  return new Map(rows.map((row) => [row.number, row]));
}

function assertKnown(migrations: readonly Migration[], applied: ReadonlyMap<number, AppliedMigration>): void {
  for (const done of applied.values()) {
    const own = migrations[done.number - 1];
    if (!own) {
      throw new BrambleError(
        'ERR_SCHEMA_TOO_NEW',
        `The database holds migration ${done.number}, which this release does not know. Use the release that applied it.`,
      );
    }
    if (own.digest !== done.digest) {
      throw new BrambleError(
        'ERR_MIGRATION_CHANGED',
        `Migration ${done.number} was applied with contents that differ from those of this release. Use an ` +
          'unmodified archive.',
      );
    }
  }
}

async function applyMigration(db: Database, migration: Migration, options: MigrateOptions): Promise<void> {
  const attempts = options.attempts ?? shortLockAttempts;
  const apply = async (tx: Transaction) => {
    if (migration.indexes.length === 0) await tx.unsafe(migration.statements);
    await recordMigration(tx, migration, options.release);
    // A table never exists without the rights of its users.
    await applyRights(tx, { revoke: false });
  };
  try {
    for (const index of migration.indexes) await buildIndex(db, index, attempts);
    await inShortLocks(db, apply, attempts);
  } catch (cause) {
    if (!isLockFailure(cause)) throw cause;
    throw new BrambleError(
      'ERR_MIGRATION_BLOCKED',
      `Migration ${migration.number} could not get its locks in ${attempts} tries: a long-running transaction ` +
        'blocks it. End that transaction (pg_stat_activity shows it) and try again; nothing was changed that ' +
        'would hinder another attempt.',
      { cause },
    );
  }
  options.onProgress?.({ number: migration.number, name: migration.name });
}

/** Nothing queues behind it, as it would behind a migration's transaction: it may wait longer. */
const indexLockTimeout = '5s';

/**
 * By the order of locks that `create index concurrently` has: it waits for the end of every transaction that began
 * before it, and blocks none. If that fails, or its process dies, an invalid index remains, which every write still has
 * to maintain.
 */
async function buildIndex(db: Database, { name, statement }: ConcurrentIndex, attempts: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await db`select set_config('lock_timeout', ${indexLockTimeout}, false)`;
      const [half] = await db`
        select from pg_index i where i.indexrelid = to_regclass(${name}) and not i.indisvalid`;
      if (half) await db.unsafe(`drop index concurrently if exists ${name}`);
      await db.unsafe(statement);
      return;
    } catch (error) {
      if (attempt >= attempts || !isLockFailure(error)) throw error;
      await delay(Math.min(2000, 50 * 2 ** attempt));
    } finally {
      await db`select set_config('lock_timeout', '0', false)`;
    }
  }
}

async function recordMigration(tx: Transaction, migration: Migration, release: string): Promise<void> {
  await tx`
    insert into migration (number, name, kind, digest, release, backfilled_at, catalog_fingerprint)
    select ${migration.number}, ${migration.name}, ${migration.kind}, ${migration.digest}, ${release},
           ${migration.backfill ? null : tx`now()`},
           md5(string_agg(c.table_name || '.' || c.column_name || ':' || c.data_type, ',' order by c.table_name, c.column_name))
      from information_schema.columns c
     where c.table_schema = current_schema()`;
}

async function backfill(db: Database, migration: Migration, statement: string, options: MigrateOptions): Promise<void> {
  let backfilledRows = 0;
  for (;;) {
    const { count } = await db.unsafe(statement);
    backfilledRows += count;
    options.onProgress?.({ number: migration.number, name: migration.name, backfilledRows });
    if (count === 0) break;
  }
  await db`update migration set backfilled_at = now() where number = ${migration.number}`;
}
