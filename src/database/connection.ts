/**
 * The connection to the configuration database. Statements are plain parameterised SQL in named functions that take the
 * queryable first, so that the caller decides what belongs to one transaction.
 */
import type postgres from 'postgres';
import { guardTransactions } from './guarded-transactions.ts';
import { readAgain } from './reads-again.ts';
import { openPool } from './session-pool.ts';

export type Database = postgres.Sql<Record<string, never>>;
export type Transaction = postgres.TransactionSql<Record<string, never>>;
/** Anything that a statement can be sent through. */
export type Queryable = Database | Transaction;
/** A fragment of SQL for use in a statement. */
export type SqlFragment = postgres.PendingQuery<postgres.Row[]>;

export interface DatabaseOptions {
  /** The holder of a lock must be visible in `pg_stat_activity`, even through a pooler: see {@link applicationName}. */
  applicationName: string;
  /** Maximum number of sessions; each is opened when first needed. */
  max?: number;
  /** Seconds after which an unused session is closed; 0 keeps it. The one that was used last is used next. */
  idleTimeoutSeconds?: number;
  /** Statements are planned once for all parameters, and not again for these: where the few that are sent are known to fare well. */
  plansOnce?: boolean;
  /** Number of unused sessions to keep; default none. */
  keep?: number;
  /** How long a statement waits for an unreachable database, retrying meanwhile; default 0. */
  patienceMs?: () => number;
  /** Called for each failed attempt to connect while a statement waits. */
  onUnreachable?: (error: unknown) => void;
}

/** A pool releases the sessions that a burst of work needed: each takes some 10 MB of the server and a slot. */
export const serviceIdleSeconds = 30;

/** How long services wait for a restarting database; a device's request has 30 s. */
export const servicePatienceMs = 20_000;

/**
 * Opens a pool; nothing is sent before the first statement. Its transactions end with their connection; statements lost
 * with one are sent again if they change nothing. Except in a pool of one: that is a session with its locks and
 * settings, and when it is lost, so is the pool.
 */
export function openDatabase(url: string, options: DatabaseOptions): Database {
  const isSession = options.max === 1;
  const db = openPool(url, {
    applicationName: options.applicationName,
    max: options.max ?? 8,
    patienceMs: options.patienceMs ?? (() => 0),
    onUnreachable: options.onUnreachable ?? (() => {}),
    idleTimeoutMs: (options.idleTimeoutSeconds ?? 0) * 1000,
    keep: options.keep ?? 0,
    plansOnce: options.plansOnce ?? false,
    once: isSession,
  });
  return isSession ? guardTransactions(db, { again: false }) : guardTransactions(readAgain(db), { again: true });
}

/** One session for the work, which ends with it. */
export async function withDatabase<Result>(
  url: string,
  applicationName: string,
  work: (db: Database) => Promise<Result>,
): Promise<Result> {
  const db = openDatabase(url, { applicationName, max: 1 });
  try {
    return await work(db);
  } finally {
    await db.end({ timeout: 5 });
  }
}

/** `bramble/kind/name@host#pid`, cut to the 63 bytes that PostgreSQL keeps. */
export function applicationName(kind: string, name: string, host: string, processId: number): string {
  return `bramble/${kind}/${name}@${host}#${processId}`.slice(0, 63);
}
