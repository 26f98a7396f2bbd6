/**
 * Whether a client of the database has a session to itself. A pooler in front of PostgreSQL that hands sessions from one client to
 * another (pgbouncer's `pool_mode` transaction or statement) loses locks, settings, prepared statements and notifications, some
 * of them in silence: nothing of Bramble works on one.
 *
 * Sure in both directions: two sessions that are open at once have two processes, unless they share one; and only who keeps
 * a session is told of what another one notifies.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { BrambleError } from '../base/errors.ts';
import { openSession, type Session } from './session.ts';

export interface PoolerCheckOptions {
  readonly applicationName: string;
  /** How long a notification may take, default 20 s. */
  readonly timeoutMs?: number;
}

/**
 * @throws BrambleError ERR_DATABASE_POOLER when sessions are shared; and what forbade the look
 */
export async function assertOwnSessions(url: string, options: PoolerCheckOptions): Promise<void> {
  const { applicationName, timeoutMs = 20_000 } = options;
  const channel = `bramble_check_${randomBytes(8).toString('hex')}`;
  const notified = Promise.withResolvers<'notified'>();
  const onNotify = (): void => notified.resolve('notified');
  const sessions: Session[] = [];
  const ending = new AbortController();
  try {
    const listener = await openSession(url, { applicationName, onNotify });
    sessions.push(listener);
    await say(listener, `listen ${channel}`);
    const other = await openSession(url, { applicationName });
    sessions.push(other);
    if ((await processOf(listener)) === (await processOf(other))) throw sharedSessions();
    await say(other, `notify ${channel}`);
    const late = delay(timeoutMs, 'late', { signal: ending.signal }).catch(() => 'late');
    const lost = Promise.race(sessions.map((session) => session.lost)).then(() => 'lost');
    const outcome = await Promise.race([notified.promise, lost, late]);
    if (outcome === 'late') throw sharedSessions();
    // Rejects with the loss.
    if (outcome === 'lost') for (const session of sessions) await say(session, 'select 1');
  } finally {
    ending.abort();
    for (const session of sessions) session.close();
  }
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
    'A pooler in front of the database hands sessions from one client to another (pool_mode transaction or statement). Bramble ' +
      'needs sessions of its own, for locks and notifications: set "pool_mode = session" in the pooler, or give the address of ' +
      'PostgreSQL itself.',
  );
}
