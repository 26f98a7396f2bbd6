/**
 * The release fence: hands the database over to another release, when no administration service is in a transaction and
 * none can commit one afterwards.
 *
 * Protects invariant 7. Every administration transaction holds the administration lock shared and checks the domain's
 * release in the next statement. The fence takes the lock exclusively and changes the release in the same transaction,
 * so earlier transactions have ended, and later ones read the new release and refuse. A stopped process (SIGSTOP) holds
 * its shared lock and never ends by itself: after a grace period its session is ended in the database, and with it the
 * transaction.
 */
import { type Clock, systemClock } from '../../base/clock.ts';
import { BrambleError } from '../../base/errors.ts';
import { type AdvisoryLock, advisoryLock, lockClass } from '../../database/advisory-locks.ts';
import type { Database, Queryable, Transaction } from '../../database/connection.ts';
import { isInsufficientPrivilege, sqlState } from '../../database/sql-state.ts';

/** A session that holds the lock. */
interface LockHolder {
  databaseProcessId: number;
  /** `bramble/kind/name@host#pid` of who it is. */
  applicationName: string;
  state: string;
  transactionStart: Date | null;
}

export interface FenceResult {
  /** Sessions in a transaction when the fence was requested. */
  met: LockHolder[];
  /** Sessions that were terminated, since they did not finish in the grace period. */
  ended: LockHolder[];
}

export interface FenceOptions {
  /** Which lock: by default that of administration transactions; the feature level's when finalizing. */
  lock?: AdvisoryLock;
  /** How long running transactions may take to finish. */
  graceMs: number;
  /** Time limit for all attempts. Default: the grace period and 30 s. */
  timeoutMs?: number;
  signal?: AbortSignal;
  clock?: Clock;
}

/** How long one attempt waits for the lock; new administration transactions queue behind it for that long at most. */
const tryMs = 200;
const maxIdleMs = 10_000;
const lockNotAvailable = '55P03';
/**
 * Runs `work` in a transaction that holds the lock exclusively; `work` changes the domain's release.
 * @throws BrambleError ERR_RELEASE_FENCE_BLOCKED when the lock was not available although its holders were terminated.
 */
export async function fenceRelease<Result>(
  db: Database,
  options: FenceOptions,
  work: (tx: Transaction, fence: FenceResult) => Promise<Result>,
): Promise<Result> {
  const clock = options.clock ?? systemClock;
  const lock = options.lock ?? advisoryLock.administration;
  const begun = clock.now();
  const deadline = begun + (options.timeoutMs ?? options.graceMs + 30_000);
  const met = new Map<number, LockHolder>();
  const ended = new Map<number, LockHolder>();
  const outcome: { value?: Result } = {};
  for (;;) {
    options.signal?.throwIfAborted();
    for (const holder of await listLockHolders(db, lock)) met.set(holder.databaseProcessId, holder);
    const held = await tryFence(db, lock, async (tx) => {
      outcome.value = await work(tx, { met: [...met.values()], ended: [...ended.values()] });
    });
    if (held) return outcome.value as Result;
    if (clock.now() >= deadline) {
      throw new BrambleError(
        'ERR_RELEASE_FENCE_BLOCKED',
        'The release fence could not get its lock: it is held by sessions that cannot be terminated. ' +
          'pg_stat_activity shows them; end them and try again. Nothing was changed.',
        { details: { holders: (await listLockHolders(db, lock)).map((holder) => holder.applicationName) } },
      );
    }
    if (clock.now() - begun >= options.graceMs) {
      for (const holder of await endLockHolders(db, lock)) ended.set(holder.databaseProcessId, holder);
    }
  }
}

/** One attempt; `false` when the lock was not granted in time. */
async function tryFence(db: Database, lock: AdvisoryLock, work: (tx: Transaction) => Promise<void>): Promise<boolean> {
  const attempt: { granted: boolean } = { granted: false };
  try {
    await db.begin(async (tx) => {
      // A fencing process that is stopped midway must not block everybody for ever.
      await tx`
        select set_config('lock_timeout', ${`${tryMs}ms`}, true),
               set_config('idle_in_transaction_session_timeout', ${`${maxIdleMs}ms`}, true)`;
      await tx`select pg_advisory_xact_lock(${lockClass}, ${lock})`;
      attempt.granted = true;
      await tx`select set_config('lock_timeout', '0', true)`;
      await work(tx);
    });
    return true;
  } catch (error) {
    if (!attempt.granted && sqlState(error) === lockNotAvailable) return false;
    throw error;
  }
}

/** Sessions of this database that hold the lock, except our own. */
export async function listLockHolders(
  q: Queryable,
  lock: AdvisoryLock = advisoryLock.administration,
): Promise<LockHolder[]> {
  return await q<LockHolder[]>`
    select s.pid as "databaseProcessId", s.application_name as "applicationName", coalesce(s.state, 'unknown') as state,
           s.xact_start as "transactionStart"
      from pg_locks l join pg_stat_activity s on s.pid = l.pid
     where l.locktype = 'advisory' and l.classid = ${lockClass} and l.objid = ${lock}
       and l.objsubid = 2 and l.granted and l.pid <> pg_backend_pid()
       and l.database = (select oid from pg_database where datname = current_database())
     order by s.xact_start`;
}

/**
 * Terminates the sessions that hold the lock now, each by itself: one that this role may not terminate, such as a superuser's,
 * does not protect the others. Returns those that were told to end.
 */
async function endLockHolders(db: Database, lock: AdvisoryLock): Promise<LockHolder[]> {
  const ended: LockHolder[] = [];
  for (const holder of await listLockHolders(db, lock)) {
    try {
      await db`select pg_terminate_backend(${holder.databaseProcessId})`;
      ended.push(holder);
    } catch (error) {
      if (!isInsufficientPrivilege(error)) throw error;
    }
  }
  return ended;
}
