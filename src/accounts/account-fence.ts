/**
 * The account fence: an instance that writes anything for an account holds the account's row FOR SHARE and has checked
 * that it owns the account.
 *
 * Protects invariant 1 at READ COMMITTED: a FOR SHARE lock is granted on the newest version of the row, on which the
 * condition is checked again, and a move's update waits for it. A condition alone (in a WHERE, an EXISTS, or with the
 * FOR KEY SHARE that foreign keys take) lets a stale write through when a move commits in mid-statement.
 */
import type { AccountId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import type { Database, Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { sqlState } from '../database/sql-state.ts';

/** The result of a fenced transaction: its value, the account's owner, or that the account is being moved. */
export type FencedOutcome<Value> =
  | { kind: 'done'; value: Value }
  | { kind: 'not-owner'; owner: SrpIdentifier }
  | { kind: 'moving' };

/** The longest that a fenced transaction may take; a mover waits for it. */
const transactionTimeoutMs = 2000;

/**
 * Runs `work` in a transaction that holds the account for `instanceId`. `work` must be idempotent or accept that a lost
 * commit reply leaves its outcome unknown. An account that does not exist answers `moving`.
 */
export async function withAccountFence<Value>(
  db: Database,
  accountId: AccountId,
  instanceId: InstanceId,
  work: (tx: Transaction, epoch: string) => Promise<Value>,
): Promise<FencedOutcome<Value>> {
  let isHeld = false;
  const fenced = async (tx: Transaction): Promise<FencedOutcome<Value>> => {
    await tx`select set_config('statement_timeout', ${String(transactionTimeoutMs)}, true),
                    set_config('idle_in_transaction_session_timeout', ${String(2 * transactionTimeoutMs)}, true)`;
    const [held] = await tx<{ epoch: string }[]>`${fencedAccount(tx, instanceId, tx`a.id = ${accountId}`)}`;
    isHeld = held !== undefined;
    if (held) return { kind: 'done', value: await work(tx, held.epoch) };
    const [owner] = await tx<{ id: InstanceId; srpIdentifier: SrpIdentifier }[]>`
      select i.id, i.srp_identifier as "srpIdentifier"
        from account a join instance i on i.id = a.instance_id where a.id = ${accountId}`;
    return owner && owner.id !== instanceId ? { kind: 'not-owner', owner: owner.srpIdentifier } : { kind: 'moving' };
  };
  try {
    return (await db.begin(fenced)) as FencedOutcome<Value>;
  } catch (error) {
    // query_canceled: whoever moves the account holds its row for longer than a transaction of ours may take.
    if (!isHeld && sqlState(error) === '57014') return { kind: 'moving' };
    throw error;
  }
}

/**
 * The fence's condition for account `a` of a statement: the instance owns it, and no mover has marked it. It is only a
 * fence if the statement also locks `a` FOR SHARE; reads can do without the lock.
 */
export function isServedBy(q: Queryable, instanceId: string): SqlFragment {
  return q`(a.instance_id = ${instanceId} and not ${isMarked(q)})`;
}

/** A mover has marked the account, so its writers step back. */
export function isMarked(q: Queryable, accountId: SqlFragment = q`a.id`): SqlFragment {
  return q`exists (select 1 from account_mark k where k.account_id = ${accountId} and k.until > clock_timestamp())`;
}

/**
 * In a `with … as materialized`: the one account that `which` says of `a`, if the instance owns it and it is not being moved,
 * locked FOR SHARE.
 */
export function fencedAccount(q: Queryable, instanceId: string, which: SqlFragment): SqlFragment {
  return q`
      select a.id, a.epoch from account a
       where ${which} and ${isServedBy(q, instanceId)}
         for share of a`;
}

/**
 * In a `with … as materialized`: the accounts that the instance owns and that are not being moved, locked FOR SHARE
 * SKIP LOCKED in the order of their ids, by account_pkey. A statement that writes for many accounts joins it, and
 * leaves the others for later. The condition is that of {@link isServedBy}, with `is true` about the owner: index
 * account_instance cannot serve instead, which would read every account of the instance.
 * @param accountIds a query for their ids
 */
export function fencedAccounts(q: Queryable, instanceId: string, accountIds: SqlFragment) {
  return q`
      select a.id, a.epoch from account a
       where a.id = any(array(${accountIds})) and (a.instance_id = ${instanceId}) is true and not ${isMarked(q)}
       order by a.id
         for share of a skip locked`;
}
