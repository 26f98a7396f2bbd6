/**
 * A transaction that is sent as a whole, its commit included: the database goes from one statement to the next without waiting for
 * this process, so what it locks it holds no longer than it works, however late this process hears of each answer.
 *
 * Invariant: all of it is committed, or nothing. A statement that must not be committed fails (`failUnless`): those behind it fail
 * too, and the commit rolls back. After a lost connection nobody knows which of both happened.
 */
import { setImmediate } from 'node:timers/promises';
import type postgres from 'postgres';
import type { Database, Queryable, SqlFragment, Transaction } from './connection.ts';
import { type Sql, withinSession } from './session.ts';
import { sqlState } from './sql-state.ts';

/** Sends its statements at once, without waiting for the answer of any. */
type Issue = (tx: Transaction) => readonly PromiseLike<unknown>[];

type WithinSession = <Result>(work: (sql: Sql) => PromiseLike<Result>) => Promise<Result>;

/**
 * What the statements answered, in their order.
 * @throws what the first of them failed with
 */
export async function beginTogether(db: Database, issue: Issue): Promise<unknown[]> {
  const within = Reflect.get(db, withinSession) as WithinSession | undefined;
  if (within === undefined) throw new TypeError('not a pool of sessions');
  return await within(async (sql) => await sendTogether(sql, issue));
}

async function sendTogether(sql: Sql, issue: Issue): Promise<unknown[]> {
  const begun = sql.unsafe('begin').execute();
  // Its answer is asked for at the end; that the session has ended may be heard before.
  begun.then(undefined, () => {});
  const fate = { isSent: false, hasFailed: false };
  const statements = issued(issue, openUntil(sql as unknown as Transaction, fate));
  // A statement is sent when it is first waited for: now.
  for (const statement of statements) {
    statement.then(undefined, () => {
      fate.hasFailed = true;
    });
  }
  // Statements are handed to the connection in microtasks; the commit has to come behind all of them. One that could not even be
  // sent has failed by then.
  await setImmediate();
  fate.isSent = true;
  const end = fate.hasFailed ? 'rollback' : 'commit';
  const committed = sql.unsafe(end).execute() as PromiseLike<postgres.RowList<postgres.Row[]>>;
  const [begin, commit, ...outcomes] = await Promise.allSettled([begun, committed, ...statements]);
  const values = [begin, ...outcomes, commit].map((outcome) => {
    if (outcome?.status === 'rejected') throw outcome.reason;
    return outcome?.value;
  });
  if (commit?.status === 'fulfilled' && commit.value.command !== 'COMMIT') throw new TypeError('a commit rolled back');
  return values.slice(1, -1);
}

/** Where not all of them could be made, none is: the transaction is begun already, and has to end. */
function issued(issue: Issue, tx: Transaction): readonly PromiseLike<unknown>[] {
  try {
    return issue(tx);
  } catch (error) {
    return [Promise.reject(error)];
  }
}

/** What is sent behind the commit would stand outside of the transaction. */
function openUntil(tx: Transaction, fate: { isSent: boolean }): Transaction {
  return new Proxy(tx, {
    apply: (target, self, parameters) => {
      if (fate.isSent) throw new TypeError('the transaction was sent: a statement of it waited for another one');
      return Reflect.apply(target, self, parameters);
    },
  });
}

/** As a column of a statement: 1, or an error that ends its transaction. Dividing by zero is the one that plain SQL can raise. */
export function failUnless(q: Queryable, condition: SqlFragment): SqlFragment {
  return q`1 / (case when ${condition} then 1 else 0 end)`;
}

/** Whether a transaction ended because of {@link failUnless}. */
export function isFailedCondition(error: unknown): boolean {
  return sqlState(error) === '22012';
}
