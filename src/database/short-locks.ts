/**
 * Changes of the schema beside live traffic. A statement that waits for a table's lock makes everything behind it wait
 * too, and one that holds locks on several tables can deadlock with others.
 *
 * Invariant: nobody waits longer than half a second behind a change that cannot have its lock; it steps back and tries again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Database, Transaction } from './connection.ts';
import { sqlState } from './sql-state.ts';

/** How often a change that meets a lock is attempted, 50 ms to 2 s apart. */
export const shortLockAttempts = 60;

const lockNotAvailable = '55P03';
const deadlockDetected = '40P01';

/** One transaction, retried until it gets its locks. @throws the error of the last attempt */
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

/** Whether a lock could not be obtained, as opposed to a failure that would happen again. */
export function isLockFailure(error: unknown): boolean {
  const state = sqlState(error);
  return state === lockNotAvailable || state === deadlockDetected;
}
