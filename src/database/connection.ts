/**
 * The connection to the configuration database. Statements are plain parameterised SQL in named functions that take the
 * queryable first, so that a caller decides what stands in one transaction.
 */
import type postgres from 'postgres';
import { guardTransactions } from './guarded-transactions.ts';
import { readAgain } from './reads-again.ts';
import { openPool } from './session-pool.ts';

export type Database = postgres.Sql<Record<string, never>>;
export type Transaction = postgres.TransactionSql<Record<string, never>>;
/** Whatever a statement can be sent through. */
export type Queryable = Database | Transaction;
/** A piece of SQL that is put into a statement. */
export type SqlFragment = postgres.PendingQuery<postgres.Row[]>;

export interface DatabaseOptions {
  /** Who holds a lock must be readable in `pg_stat_activity`, also through a pooler: see {@link applicationName}. */
  applicationName: string;
  /** Sessions at most; each is opened when it is first needed. */
  max?: number;
  /** Seconds after which an unused session is closed; 0 keeps it. The one that was used last is used next. */
  idleTimeoutSeconds?: number;
  /** Statements are planned once for all parameters, and not again for these: where the few that are sent are known to fare well. */
  plansOnce?: boolean;
  /** So many sessions are kept though they are unused; default none. */
  keep?: number;
  /** How long a statement waits for a database that cannot be reached; asked again and again; default 0. */
  patienceMs?: () => number;
  /** Told of each attempt to connect that failed while a statement waits. */
  onUnreachable?: (error: unknown) => void;
}

/** A pool gives back what a burst of work needed: each session of the server takes some 10 MB and a place. */
export const serviceIdleSeconds = 30;

/** How long what serves others waits for a database that restarts; a device's request has 30 s. */
export const servicePatienceMs = 20_000;

/**
 * Opens a pool; nothing is sent before the first statement. Its transactions end with their connection; what was lost with
 * one and has changed nothing is sent again, but for a pool of one: that is a session, with what it locked and set, and when it
 * is lost the pool is.
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

/** `bramble/kind/name@host#pid`, cut to the 63 bytes that PostgreSQL keeps. */
export function applicationName(kind: string, name: string, host: string, processId: number): string {
  return `bramble/${kind}/${name}@${host}#${processId}`.slice(0, 63);
}
