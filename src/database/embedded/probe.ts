/** Proves that the embedded server works: a real connection to its database, which the first one creates. */
import { BrambleError } from '../../base/errors.ts';
import { openSession } from '../session.ts';
import { sqlState } from '../sql-state.ts';
import { databaseName, databaseUser } from './cluster.ts';

export function urlOf(password: string, port: number, database = databaseName): string {
  return `postgres://${databaseUser}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;
}

/**
 * True when a statement was answered; false when it may be in a moment (starting, recovering, ending, unreachable).
 * @throws BrambleError ERR_DATABASE_START when the server refuses our password: it is not our server and never will be.
 */
export async function probe(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    await query(url, signal, 'select 1');
    return true;
  } catch (error) {
    const code = sqlState(error);
    if (code?.startsWith('28') === true) {
      throw new BrambleError(
        'ERR_DATABASE_START',
        'The embedded PostgreSQL rejects its own password: the file "password" does not belong to this data folder.',
        { cause: error },
      );
    }
    return code === '3D000' ? await makeDatabase(url, signal) : false;
  }
}

async function makeDatabase(url: string, signal: AbortSignal): Promise<boolean> {
  const maintenance = new URL(url);
  maintenance.pathname = '/postgres';
  try {
    await query(maintenance.href, signal, `create database ${databaseName}`);
  } catch (error) {
    // 42P04 and 23505: a rival made it in the same moment.
    if (!['42P04', '23505'].includes(sqlState(error) ?? '')) {
      return false;
    }
  }
  return await probe(url, signal);
}

async function query(url: string, signal: AbortSignal, text: string): Promise<void> {
  // A connection to a stopped (SIGSTOP) server opens and never answers: closing the session rejects the statement.
  const abandoned = AbortSignal.any([signal, AbortSignal.timeout(10_000)]);
  const options = { applicationName: 'bramble/probe', connectTimeoutMs: 5000, signal: abandoned };
  const session = await openSession(url, options);
  try {
    await session.run((sql) => sql.unsafe(text));
  } finally {
    session.close();
  }
}
