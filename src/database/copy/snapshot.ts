/**
 * A database as of one moment: one session, one read-only transaction of REPEATABLE READ, every row by COPY as text. Needs
 * no program of PostgreSQL's, and any server from 15 on reads it again.
 *
 * Invariants: the schema does not change meanwhile, since the migrations' lock is held shared; and the text of a row is
 * the same on every server, whatever its settings.
 */
import { BrambleError } from '../../base/errors.ts';
import { advisoryLock, lockClass } from '../advisory-locks.ts';
import type { Queryable } from '../connection.ts';
import { becomeOwner } from '../roles/rights-in-force.ts';
import { openSession, type Sql } from '../session.ts';
import { copyOut } from './copy-stream.ts';
import {
  columnsOf,
  listSequenceValues,
  listTables,
  type SequenceValue,
  type SizedTable,
  type Table,
} from './tables.ts';

export interface Snapshot {
  /** By the database's clock. */
  readonly at: Date;
  readonly tables: readonly SizedTable[];
  /** For statements of one's own, in the same snapshot. */
  readonly q: Queryable;
  /** One line a row, in pieces that end anywhere. To be read to its end. */
  rows(table: Table): Promise<AsyncIterable<Buffer>>;
  sequences(): Promise<SequenceValue[]>;
}

/**
 * Rows in the same order for the same contents: by where they lie, from the beginning. And a reader may stop for a while, as a disk
 * does.
 */
const sameText = `set datestyle = iso; set timezone = utc; set intervalstyle = postgres; set extra_float_digits = 1;
  set bytea_output = hex; set client_encoding = utf8; set synchronize_seqscans = off; set statement_timeout = 0;
  set tcp_user_timeout = 0`;

/** @throws BrambleError ERR_MIGRATION_BLOCKED while a migration is applied */
export async function withSnapshot<Result>(
  url: string,
  options: { applicationName: string; signal?: AbortSignal | undefined },
  work: (snapshot: Snapshot) => Promise<Result>,
): Promise<Result> {
  const { applicationName, signal } = options;
  const session = await openSession(url, { applicationName, ...(signal === undefined ? {} : { signal }) });
  try {
    return await session.run(async (sql) => {
      const [lock] = await sql`
        select pg_try_advisory_lock_shared(${lockClass}, ${advisoryLock.migration}) as taken`;
      if (lock?.['taken'] !== true) {
        throw new BrambleError(
          'ERR_MIGRATION_BLOCKED',
          'A migration is being applied to the database, which cannot be copied meanwhile. Try again in a minute.',
        );
      }
      await becomeOwner(sql, { local: false });
      await sql.unsafe(sameText);
      // Ended with the session: there is nothing to commit.
      await sql.unsafe('begin isolation level repeatable read read only');
      return await work(await begun(sql));
    });
  } finally {
    session.close();
  }
}

async function begun(sql: Sql): Promise<Snapshot> {
  const [row] = await sql<{ at: Date }[]>`select now() as at`;
  return {
    at: row?.at ?? new Date(),
    tables: await listTables(sql),
    q: sql,
    rows: async (table) => await copyOut(sql, `copy ${columnsOf(table)} to stdout`),
    sequences: async () => await listSequenceValues(sql),
  };
}
