/**
 * Transactions that end with their connection. The driver continues to send a transaction's statements to its
 * connection object after the connection was cut: they then crash the whole process, or run on whatever session has
 * taken the object over, outside any transaction.
 *
 * Invariant: after its connection was lost, a transaction sends nothing more, neither its own statements nor the
 * driver's rollback; `begin` rejects with the loss. Without this an administration transaction that the release fence
 * ended could write afterwards (invariant 7). One that was lost before its work began has done nothing, and may be
 * retried.
 */

import type postgres from 'postgres';
import { BrambleError } from '../base/errors.ts';
import { isConnectionLoss, onAnotherConnection } from './connection-loss.ts';

type Database = postgres.Sql<Record<string, never>>;
type Transaction = postgres.TransactionSql<Record<string, never>>;

interface Fate {
  lost: boolean;
}
type Work = (tx: Transaction) => unknown;

/**
 * The same database, whose `begin` is safe against the loss of its connection.
 * @param again whether a transaction that was lost before its work began is retried
 */
export function guardTransactions(db: Database, { again }: { again: boolean }): Database {
  const guarded = {
    begin: async (first: string | Work, second?: Work): Promise<unknown> => {
      const [options, work] = typeof first === 'string' ? [first, second] : ['', first];
      if (work === undefined) throw new TypeError('a transaction without work');
      return await (again ? beginAgain : beginGuarded)(db, options, work);
    },
  };
  return new Proxy(db, {
    get: (target, key) => (key === 'begin' ? guarded.begin : Reflect.get(target, key)),
  });
}

async function beginAgain(db: Database, options: string, work: Work): Promise<unknown> {
  let begun = false;
  const begin = () =>
    beginGuarded(db, options, (tx) => {
      begun = true;
      return work(tx);
    });
  return await onAnotherConnection(begin, begin, () => !begun);
}

async function beginGuarded(db: Database, options: string, work: Work): Promise<unknown> {
  const fate: Fate = { lost: false };
  try {
    return await db.begin(options, (tx) => {
      const settled = Promise.withResolvers<unknown>();
      // After a loss nothing is settled: the driver would answer by sending a rollback. Its own race on the closing of the
      // connection is what rejects then.
      runWork(work, guardTransaction(tx, fate)).then(
        (result) => {
          if (!fate.lost) settled.resolve(result);
        },
        (error: unknown) => {
          if (isConnectionLoss(error)) fate.lost = true;
          if (!fate.lost) settled.reject(error);
        },
      );
      return settled.promise;
    });
  } finally {
    // Also after an orderly end: code that kept the transaction gets an error instead of another's session.
    fate.lost = true;
  }
}

async function runWork(work: Work, tx: Transaction): Promise<unknown> {
  return await work(tx);
}

function guardTransaction(tx: Transaction, fate: Fate): Transaction {
  const assertHeld = (): void => {
    if (!fate.lost) return;
    throw new BrambleError(
      'ERR_DATABASE_UNAVAILABLE',
      'The connection to the configuration database was lost in the middle of a transaction: nothing was written.',
    );
  };
  return new Proxy(tx, {
    apply: (target, self, parameters) => {
      assertHeld();
      return Reflect.apply(target, self, parameters);
    },
    get: (target, key) => {
      if (key === 'savepoint') {
        return (first: string | Work, second?: Work): unknown => {
          assertHeld();
          const inner =
            (work: Work | undefined) =>
            (nested: Transaction): unknown =>
              work?.(guardTransaction(nested, fate));
          return typeof first === 'string' ? target.savepoint(first, inner(second)) : target.savepoint(inner(first));
        };
      }
      if (key === 'unsafe') assertHeld();
      return Reflect.get(target, key);
    },
  });
}
