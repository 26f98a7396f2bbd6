/**
 * Rehearses the migration on an empty database of its own: the old release's migrations, then the additive ones of this
 * release, and checks whether the old release could still work on the result. The scratch database is dropped
 * afterwards, whatever happens, in the background: dropping deletes a thousand files, which took a minute on a busy
 * disk with `discard`. Nothing depends on it. A later rehearsal drops what a killed one left.
 */

import { randomBytes } from 'node:crypto';
import { addressOfDatabase } from '../../base/database-address.ts';
import { type Database, openDatabase } from '../../database/connection.ts';
import { migrate } from '../../database/migrate.ts';

interface RehearsalOptions {
  databaseUrl: string;
  /** Migration folders and releases. */
  from: { folder: string; release: string };
  to: { folder: string; release: string };
  applicationName: string;
}

interface Rehearsal {
  schemaVersion: number;
  /** Why the old release could not work with the expanded schema; empty if it can. */
  obstacles: string[];
}

interface Column {
  place: string;
  type: string;
  required: boolean;
}

/** @throws the migrator's errors, and PostgreSQL's if no database may be created (SQLSTATE 42501). */
export async function rehearseMigration(options: RehearsalOptions): Promise<Rehearsal> {
  const name = `${scratchPrefix}${Math.floor(Date.now() / 1000)}_${randomBytes(6).toString('hex')}`;
  const scratchUrl = addressOfDatabase(options.databaseUrl, name);
  const { applicationName } = options;
  const db = openDatabase(options.databaseUrl, { applicationName, max: 1 });
  try {
    await db.unsafe(`create database ${name} template template0`);
    const scratch = openDatabase(scratchUrl, { applicationName, max: 1 });
    try {
      await migrate(scratchUrl, { ...options.from, contract: true, applicationName });
      const before = await listColumns(scratch);
      const schemaVersion = await migrate(scratchUrl, { ...options.to, contract: false, applicationName });
      return { schemaVersion, obstacles: obstaclesOf(before, await listColumns(scratch)) };
    } finally {
      await scratch.end({ timeout: 5 });
    }
  } finally {
    void dropScratch(db, name);
  }
}

const scratchPrefix = 'bramble_rehearsal_';
/** No rehearsal takes that long; the name of a database contains its age. */
const abandonedAfterSeconds = 3600;

/** Never fails: a later rehearsal drops what is left. */
async function dropScratch(db: Database, name: string): Promise<void> {
  try {
    await db.unsafe(`drop database if exists ${name} with (force)`);
    const forsaken = await db<{ name: string }[]>`
      select d.datname as name from pg_database d
       where d.datname ~ ${`^${scratchPrefix}[0-9]+_[0-9a-f]+$`}
         and split_part(d.datname, '_', 3)::bigint < extract(epoch from now()) - ${abandonedAfterSeconds}
         and not exists (select from pg_stat_activity a where a.datid = d.oid)`;
    for (const left of forsaken) await db.unsafe(`drop database if exists ${left.name}`);
  } catch {
    // Another process may be dropping it too, or the server is shutting down.
  } finally {
    await db.end({ timeout: 5 });
  }
}

/**
 * What the older release cannot work with: columns that are gone or changed, and new ones that it would have to fill.
 */
export function obstaclesOf(before: readonly Column[], after: readonly Column[]): string[] {
  const now = new Map(after.map((column) => [column.place, column]));
  const known = new Map(before.map((column) => [column.place, column]));
  const oldTables = new Set(before.map((column) => column.place.split('.')[0]));
  const gone = before.flatMap((column) => {
    const next = now.get(column.place);
    if (next === undefined) return [`${column.place} is missing`];
    if (next.type !== column.type) return [`${column.place} is ${next.type} instead of ${column.type}`];
    return next.required && !column.required ? [`${column.place} has become mandatory`] : [];
  });
  const added = after
    .filter((column) => !known.has(column.place) && column.required && oldTables.has(column.place.split('.')[0]))
    .map((column) => `${column.place} is new and mandatory`);
  return [...gone, ...added];
}

export async function listColumns(db: Database): Promise<Column[]> {
  return await db<Column[]>`
    select c.table_name || '.' || c.column_name as place, c.data_type as type,
           c.is_nullable = 'NO' and c.column_default is null and c.is_identity = 'NO' as required
      from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
     where c.table_schema = current_schema() and t.table_type = 'BASE TABLE'
     order by 1`;
}
