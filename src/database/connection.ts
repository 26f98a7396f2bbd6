/**
 * The connection to the configuration database. Statements are plain parameterised SQL in named functions that take the
 * queryable first, so that a caller decides what stands in one transaction.
 */
import postgres from 'postgres';
import { guardTransactions } from './guarded-transactions.ts';
import { readAgain } from './reads-again.ts';

export type Database = postgres.Sql<Record<string, never>>;
export type Transaction = postgres.TransactionSql<Record<string, never>>;
/** Whatever a statement can be sent through. */
export type Queryable = Database | Transaction;
/** A piece of SQL that is put into a statement. */
export type SqlFragment = postgres.PendingQuery<postgres.Row[]>;

export interface DatabaseOptions {
  /** Who holds a lock must be readable in `pg_stat_activity`, also through a pooler: see {@link applicationName}. */
  applicationName: string;
  /** Connections at most; each is opened when it is first needed. */
  max?: number;
  /** Seconds after which an unused connection is closed; 0 keeps it. */
  idleTimeoutSeconds?: number;
}

/**
 * Opens a pool; nothing is sent before the first statement. Its transactions end with their connection; what was lost with
 * one and has changed nothing is sent again, but for a pool of one connection: that is a session, with what it locked and set.
 */
export function openDatabase(url: string, options: DatabaseOptions): Database {
  const db = postgres(url, {
    max: options.max ?? 8,
    idle_timeout: options.idleTimeoutSeconds ?? 0,
    connect_timeout: 10,
    backoff: (attempt) => Math.min(2, 0.05 * 2 ** attempt),
    onnotice: () => {},
    connection: { application_name: options.applicationName },
  }) as Database;
  return options.max === 1
    ? guardTransactions(db, { again: false })
    : guardTransactions(readAgain(db), { again: true });
}

/** `bramble/kind/name@host#pid`, cut to the 63 bytes that PostgreSQL keeps. */
export function applicationName(kind: string, name: string, host: string, processId: number): string {
  return `bramble/${kind}/${name}@${host}#${processId}`.slice(0, 63);
}
