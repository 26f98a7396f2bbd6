/** Queries and actions on moves for others: administrators, and the upgrade, which pauses, ends and counts its own. */
import type { Within } from '../accounts/account-scope.ts';
import type { UpgradeId } from '../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { moveBatchStates } from '../states/move-batch-states.ts';
import { moveStates } from '../states/move-states.ts';
import { isBatchWithin } from './batch-scope.ts';
import { cancelMoveBatch } from './batch-store.ts';

/** How many moves the account of this id has open, as SQL: counting keeps it one look into account_move_open for each. */
export function openMovesOf(q: Queryable, accountId: SqlFragment): SqlFragment {
  return q`
    (select count(*) from account_move m where m.account_id = ${accountId} and ${moveStates.notIn(q, 'ended', 'm')})`;
}

/** Where the next uncommitted move of the batch goes, as SQL: one look into account_move_queued. */
export function nextDestinationOf(q: Queryable, batchId: SqlFragment): SqlFragment {
  return q`
    (select m.to_instance_id from account_move m where m.batch_id = ${batchId} and ${moveStates.in(q, 'uncommitted', 'm')}
      order by m.batch_id, m.queued_at limit 1)`;
}

/** Moves of the whole domain that still need work; through account_move_waiting. */
export async function countOpenMoves(q: Queryable): Promise<{ uncommitted: number; delivering: number }> {
  const [row] = await q<{ uncommitted: number; delivering: number }[]>`
    select count(*) filter (where ${moveStates.in(q, 'uncommitted')})::int as uncommitted,
           count(*) filter (where state = 'delivering')::int as delivering
      from account_move where ${moveStates.in(q, 'under-way')}`;
  return row ?? { uncommitted: 0, delivering: 0 };
}

/** Moves to the instance that are not committed. */
export async function countMovesTo(q: Queryable, instanceId: string): Promise<number> {
  const [row] = await q<{ count: number }[]>`
    select count(*)::int as count from account_move
     where to_instance_id = ${instanceId} and ${moveStates.in(q, 'uncommitted')}`;
  return row?.count ?? 0;
}

interface OpenBatch {
  batch: string;
  purpose: string;
  state: string;
  open: number;
  outOfReach: number;
}

/** Batches with moves that are not closed, of those that are seen; through index account_move_batch. */
export async function listOpenBatches(q: Queryable, within: Within = null): Promise<OpenBatch[]> {
  return await q<OpenBatch[]>`
    select b.id as batch, b.purpose, b.state, count(*)::int as open,
           count(*) filter (where m.out_of_reach)::int as "outOfReach"
      from move_batch b join account_move m on m.batch_id = b.id
     where ${moveBatchStates.in(q, 'open', 'b')} and ${moveStates.in(q, 'under-way', 'm')} and ${isBatchWithin(q, within)}
     group by b.id
     order by b.created_at`;
}

interface UnsettledMove {
  account: string;
  state: string;
  from: string;
  to: string;
  attempts: number;
  outOfReach: boolean;
  failure: string | null;
}

/** Moves of a batch that are not closed in good order, by name; index account_move_batch. */
export async function listUnsettledMoves(q: Queryable, batchId: string, limit: number): Promise<UnsettledMove[]> {
  return await q<UnsettledMove[]>`
    select a.name as account, m.state, f.name as "from", t.name as "to", m.attempts, m.out_of_reach as "outOfReach",
           m.failure
      from account_move m
      join account a on a.id = m.account_id
      join instance f on f.id = m.from_instance_id
      join instance t on t.id = m.to_instance_id
     where m.batch_id = ${batchId} and m.state <> 'closed'
     order by a.name
     limit ${limit}`;
}

/** Of each statement. */
const mostClosedAtOnce = 10_000;

/**
 * Cancels uncommitted moves and closes committed ones: a new move brings the account home. Through account_move_to, which the order
 * is for: what the planner knows of the past says nothing of what is open.
 */
export async function stopMovesTo(tx: Transaction, instanceIds: readonly string[]): Promise<void> {
  await cancelBatchesTo(tx, instanceIds, tx`true`);
  let closed: number;
  do {
    ({ count: closed } = await tx`
      update account_move set state = 'closed', closed_at = now()
       where id = any(array(
         select m.id from account_move m
          where m.to_instance_id = any(${instanceIds as string[]}::uuid[]) and ${moveStates.in(tx, 'closing', 'm')}
          order by m.to_instance_id limit ${mostClosedAtOnce} for update))`);
  } while (closed > 0);
}

/** Cancels uncommitted moves of the upgrade, with the batches that they are in. */
export async function cancelUpgradeMovesTo(
  tx: Transaction,
  id: UpgradeId,
  instanceIds: readonly string[],
): Promise<void> {
  if (instanceIds.length === 0) return;
  await cancelBatchesTo(tx, instanceIds, tx`(select b.upgrade_id from move_batch b where b.id = m.batch_id) = ${id}`);
}

/** One after the other: a batch that is cancelled has no such move any more. Through account_move_to. */
async function cancelBatchesTo(tx: Transaction, instanceIds: readonly string[], which: SqlFragment): Promise<void> {
  for (;;) {
    const [move] = await tx<{ batchId: string }[]>`
      select m.batch_id as "batchId" from account_move m
       where m.to_instance_id = any(${instanceIds as string[]}::uuid[]) and ${moveStates.in(tx, 'uncommitted', 'm')} and ${which}
       order by m.to_instance_id limit 1`;
    if (move === undefined) return;
    await cancelMoveBatch(tx, move.batchId);
  }
}

/** Of the upgrade's moves home: accounts that are back and whose devices have not answered; those out of reach are not waited for. */
export async function countReversalsDelivering(q: Queryable, id: UpgradeId): Promise<number> {
  const [row] = await q<{ count: number }[]>`
    select count(*)::int as count from account_move m join move_batch b on b.id = m.batch_id
     where b.upgrade_id = ${id} and b.purpose = 'reverse' and m.state = 'delivering' and not m.out_of_reach`;
  return row?.count ?? 0;
}

/** Accounts of the upgrade that were moved onward and home, and those with a move that was given up. */
export async function countMovedAccounts(
  q: Queryable,
  id: UpgradeId,
): Promise<{ moved: number; reversed: number; failed: number }> {
  const [row] = await q<{ moved: number; reversed: number; failed: number }[]>`
    select count(*) filter (where moved)::int as moved, count(*) filter (where reversed)::int as reversed,
           count(*) filter (where failed)::int as failed
      from (select m.account_id, bool_or(b.purpose = 'wave' and m.committed_at is not null) as moved,
                   bool_or(b.purpose = 'reverse' and m.committed_at is not null) as reversed,
                   bool_or(m.state = 'rolled-back') as failed
              from move_batch b join account_move m on m.batch_id = b.id
             where b.upgrade_id = ${id} and ${moveStates.in(q, 'committed-or-failed', 'm')}
             group by m.account_id) accounts`;
  return row ?? { moved: 0, reversed: 0, failed: 0 };
}

/** Pauses every running batch of the upgrade; from the commit on no move of it starts. */
export async function pauseUpgradeBatches(tx: Transaction, id: UpgradeId, reason: string): Promise<void> {
  await tx`
    update move_batch set state = 'paused', pause_reason = ${reason} where upgrade_id = ${id} and state = 'running'`;
}

/** A batch that is running and has moves that are not committed. */
const withQueuedMoves = (q: Queryable, id: UpgradeId) => q`
  b.upgrade_id = ${id} and b.state = 'running'
  and exists (select 1 from account_move m where m.batch_id = b.id and ${moveStates.in(q, 'uncommitted', 'm')})`;

export async function hasQueuedMoves(q: Queryable, id: UpgradeId): Promise<boolean> {
  return (await q`select 1 from move_batch b where ${withQueuedMoves(q, id)} limit 1`).length > 0;
}

/** Pauses the batches of the upgrade that have moves left to be made; the others only wait for devices. */
export async function holdUpgradeBatches(tx: Transaction, id: UpgradeId, reason: string): Promise<void> {
  await tx`update move_batch b set state = 'paused', pause_reason = ${reason} where ${withQueuedMoves(tx, id)}`;
}

export async function hasPausedBatches(q: Queryable, id: UpgradeId): Promise<boolean> {
  return (await q`select 1 from move_batch where upgrade_id = ${id} and state = 'paused' limit 1`).length > 0;
}

export async function resumeUpgradeBatches(tx: Transaction, id: UpgradeId): Promise<void> {
  await tx`
    update move_batch set state = 'running', pause_reason = null where upgrade_id = ${id} and state = 'paused'`;
  await tx`select pg_notify('bramble_moves', '')`;
}

/** Moves that were committed in this time, by account: of these, through account_move_account, or of all in one pass. */
export async function countMovesBetween(
  q: Queryable,
  since: Date,
  until: Date | null,
  accountIds?: readonly string[],
): Promise<{ accountId: string; moves: number }[]> {
  const ofThese = accountIds === undefined ? q`true` : q`account_id = any(${accountIds as string[]}::uuid[])`;
  return await q<{ accountId: string; moves: number }[]>`
    select account_id as "accountId", count(*)::int as moves from account_move
     where ${ofThese} and committed_at >= ${since} and committed_at <= coalesce(${until}::timestamptz, 'infinity') group by 1`;
}
