/**
 * Whether a client of the database has a session to itself. A pooler in front of PostgreSQL that hands sessions from one client to
 * another (pgbouncer's `pool_mode` transaction or statement) loses locks, settings, prepared statements and notifications, some
 * of them in silence: nothing of Bramble works on one.
 *
 * Reliable in both directions: two sessions open at once have two processes, unless they share one; and only a client
 * that keeps its session receives another's notifications.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { BrambleError } from '../base/errors.ts';
import { noAnswer, openSession, type Session } from './session.ts';

interface PoolerCheckOptions {
  readonly applicationName: string;
  /** How long all of it may take, default 20 s: a database that is stopped, or behind a cut cable, never answers. */
  readonly timeoutMs?: number;
  /** Ends it at once. */
  readonly signal?: AbortSignal;
}

/**
 * @throws BrambleError ERR_DATABASE_POOLER when sessions are shared; CONNECT_TIMEOUT when the database does not answer in time;
 *   and what forbade the look
 */
export async function assertOwnSessions(url: string, options: PoolerCheckOptions): Promise<void> {
  const { applicationName, timeoutMs = 20_000 } = options;
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  const late = setTimeout(() => ending.abort(noAnswer(timeoutMs)), timeoutMs);
  try {
    await compareSessions(url, applicationName, timeoutMs / 4, signal);
  } catch (error) {
    // The statement then fails because its sessions are closed.
    throw ending.signal.aborted ? ending.signal.reason : error;
  } finally {
    clearTimeout(late);
    ending.abort();
  }
}

/** @param signal closes the sessions, whether they are open yet or not */
async function compareSessions(
  url: string,
  applicationName: string,
  notificationMs: number,
  signal: AbortSignal,
): Promise<void> {
  const channel = `bramble_check_${randomBytes(8).toString('hex')}`;
  const notified = new AbortController();
  const listener = await openSession(url, { applicationName, signal, onNotify: () => notified.abort() });
  await say(listener, `listen ${channel}`);
  const other = await openSession(url, { applicationName, signal });
  if ((await processOf(listener)) === (await processOf(other))) throw sharedSessions();
  await say(other, `notify ${channel}`);
  const enough = AbortSignal.any([notified.signal, signal]);
  await Promise.race([delay(notificationMs, undefined, { signal: enough }).catch(() => {}), listener.lost, other.lost]);
  // Rejects with the loss. A session hears what it listens to before it is answered, and a server that stalls does not answer.
  for (const session of [other, listener, listener]) await say(session, 'select 1');
  if (!notified.signal.aborted) throw sharedSessions();
}

async function say(session: Session, text: string): Promise<void> {
  await session.run((sql) => sql.unsafe(text));
}

async function processOf(session: Session): Promise<unknown> {
  const [row] = await session.run((sql) => sql.unsafe('select pg_backend_pid() as id'));
  return row?.['id'];
}

function sharedSessions(): BrambleError {
  return new BrambleError(
    'ERR_DATABASE_POOLER',
    'A pooler in front of the database hands sessions from one client to another (pool_mode transaction or ' +
      'statement). Bramble needs dedicated sessions for locks and notifications: set "pool_mode = session" in the ' +
      'pooler, or use the address of PostgreSQL itself.',
  );
}
