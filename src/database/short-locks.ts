/**
 * Changes of the schema beside live traffic. A statement that waits for a table's lock makes everybody behind it wait too,
 * and one that holds the locks of several tables meets others the other way round.
 *
 * Invariant: nobody waits longer than half a second behind a change that cannot have its lock; it steps back and tries again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Database, Transaction } from './connection.ts';
import { sqlState } from './sql-state.ts';

/** How often a change that meets a lock is tried, 50 ms to 2 s apart. */
export const shortLockAttempts = 60;

const lockNotAvailable = '55P03';
const deadlockDetected = '40P01';

/** One transaction, tried until it had its locks. @throws whatever it failed by the last time */
export async function inShortLocks(
  db: Database,
  work: (tx: Transaction) => Promise<unknown>,
  attempts: number = shortLockAttempts,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await db.begin(async (tx) => {
        await tx`set local lock_timeout = '500ms'`;
        await work(tx);
      });
      return;
    } catch (error) {
      if (attempt >= attempts || !isLockFailure(error)) throw error;
      await delay(Math.min(2000, 50 * 2 ** attempt));
    }
  }
}

/** Whether a lock was not to be had, as opposed to a failure that another try would meet again. */
export function isLockFailure(error: unknown): boolean {
  const state = sqlState(error);
  return state === lockNotAvailable || state === deadlockDetected;
}
