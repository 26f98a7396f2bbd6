/**
 * The release lock: an administration service commits only on a database of exactly its own release.
 *
 * Protects invariant 7. A suspended process with an open transaction commits when it resumes, whatever was revoked
 * meanwhile; so every administration transaction holds a shared advisory lock, which the release fence takes
 * exclusively. The release is read in the statement *after* the lock was granted: only that one sees what the fence
 * committed.
 */
import { BrambleError } from '../base/errors.ts';
import { advisoryLock, lockClass } from './advisory-locks.ts';
import type { Database, Transaction } from './connection.ts';
import { failUnless } from './together.ts';

const lockShared = (tx: Transaction) =>
  tx`select pg_advisory_xact_lock_shared(${lockClass}, ${advisoryLock.administration})`;

/**
 * The same in a transaction that is sent together: the first of its statements, which fail where the domain is of another
 * release. A transaction of {@link administrationTransaction} says which.
 */
export function takeReleaseLock(tx: Transaction, release: string): readonly PromiseLike<unknown>[] {
  return [lockShared(tx), tx`select ${failUnless(tx, tx`(select release from domain) = ${release}`)}`];
}

/**
 * Runs `work` in a transaction under the release lock.
 * @throws BrambleError ERR_RELEASE_FENCED when the domain is of another release than `release`.
 */
export async function administrationTransaction<Result>(
  db: Database,
  release: string,
  work: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  const result = await db.begin(async (tx) => {
    // Sent together, executed in order: the second statement's snapshot is taken once the lock was granted.
    const [, [domain]] = await Promise.all([lockShared(tx), tx<{ release: string }[]>`select release from domain`]);
    if (domain?.release !== release) {
      throw new BrambleError(
        'ERR_RELEASE_FENCED',
        `The domain is of release ${domain?.release ?? 'none'}, this administration service is ${release}: nothing ` +
          'was written. Use an administration service of the domain’s release.',
        { details: { domain: domain?.release ?? null, own: release } },
      );
    }
    return await work(tx);
  });
  return result as Result;
}
