/**
 * The statements of one account's move.
 *
 *   queued -> reserved -> fenced -> delivering -> settled -> closed     (rolled-back | cancelled before delivering)
 *                  \------------------^   at the first try, while no writer stands in the way
 *
 * Within one database settled and closed are one step: there is no source to be cleaned up.
 *
 * The change of owner, the rise of the epoch and the deliveries owed are one transaction, so that a move is either not
 * begun or cannot be lost. A runner that dies leaves a reservation that expires; the next one to reserve the move
 * starts from the account's row, not from the dead runner's view.
 */
import { changeOwner, markAccounts, recordOwner, removeMarks } from '../accounts/account-owner.ts';
import { moveDeadlineMs } from '../accounts/moving-patience.ts';
import type { AccountId, InstanceId, MoveId } from '../base/ids.ts';
import type { Database, Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { failUnless } from '../database/together.ts';
import { recordEvent } from '../domain/events.ts';
import { commandStates } from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { moveStates } from '../states/move-states.ts';
import { canBeWoken } from '../states/stored-names.ts';

export interface ReservedMove {
  moveId: MoveId;
  batchId: string;
  accountId: AccountId;
  fromInstanceId: InstanceId;
  toInstanceId: InstanceId;
  attempts: number;
}

/**
 * The longest that the first attempt, without a mark, waits for the account's writers. They continue meanwhile: it only
 * costs the account the time from the grant of the row lock to the commit.
 */
export const unmarkedDeadlineMs = 100;
const reservationSeconds = 30;

/**
 * Reserves up to `limit` moves of running batches, oldest first; SKIP LOCKED keeps rival runners apart. By move_batch_running,
 * and of each batch by account_move_queued, in its order. None of the upgrade that may start nothing now.
 */
export async function reserveMoves(
  tx: Transaction,
  runner: string,
  limit: number,
  heldUpgrade: string | null = null,
): Promise<ReservedMove[]> {
  return await tx<ReservedMove[]>`
    update account_move m
       set state = 'reserved', reserved_by = ${runner}, attempts = m.attempts + 1,
           reserved_until = clock_timestamp() + make_interval(secs => ${reservationSeconds})
     where m.id = any(array(
       select w.id from move_batch b cross join lateral (
         select q.id, q.queued_at from account_move q
          where q.batch_id = b.id and ${moveStates.in(tx, 'uncommitted', 'q')}
            and (q.state = 'queued' and (q.retry_at is null or q.retry_at < clock_timestamp())
                 or q.state <> 'queued' and q.reserved_until < clock_timestamp())
          order by q.batch_id, q.queued_at, q.id limit ${limit} for update of q skip locked) w
        where b.state = 'running' and (${heldUpgrade}::uuid is null or b.upgrade_id is distinct from ${heldUpgrade}::uuid)
        order by w.queued_at, w.id limit ${limit}))
    returning m.id as "moveId", m.batch_id as "batchId", m.account_id as "accountId",
              m.from_instance_id as "fromInstanceId", m.to_instance_id as "toInstanceId", m.attempts`;
}

/**
 * Marks the account, so that instances back off; no lock on the account's row. This is the last check for a paused
 * batch: `false` means that the move is back in the queue.
 */
export async function fenceMove(tx: Transaction, move: ReservedMove): Promise<boolean> {
  const [fenced] = await tx`
    with fenced as (
      update account_move m set state = 'fenced', fenced_at = clock_timestamp()
        from move_batch b
       where m.id = ${move.moveId} and m.state = 'reserved' and b.id = m.batch_id and b.state = 'running'
      returning m.account_id)
    ${markAccounts(tx, tx`fenced`, move.moveId, moveDeadlineMs)}`;
  if (fenced) return true;
  await tx`
    update account_move set state = 'queued', reserved_by = null, attempts = attempts - 1
     where id = ${move.moveId} and state = 'reserved'`;
  return false;
}

/** Result of changing the owner. */
export type CommittedMove =
  | { kind: 'committed'; epoch: string }
  | { kind: 'account-elsewhere' }
  | { kind: 'lost-reservation' };

/**
 * Changes the owner. Waits for every statement that holds the account FOR SHARE, at most `deadlineMs`
 * (statement_timeout, since lock_timeout starts again with each holder). The account waits meanwhile: statements that
 * need no answer are sent without waiting for one, in this order. A move that is only reserved is accepted too, while
 * its batch runs: it needs no mark if no writer blocks it; its `fenced_at` is then the start of the wait.
 */
export async function commitMove(
  tx: Transaction,
  move: ReservedMove,
  deadlineMs = moveDeadlineMs,
): Promise<CommittedMove> {
  // One statement for all of it, sent together with its deadline: devices wait while it runs.
  const [, [outcome]] = await Promise.all([
    tx`select set_config('statement_timeout', ${String(deadlineMs)}, true)`,
    tx<{ own: boolean; epoch: string | null }[]>`
      ${ownerChangeTerms(tx, move)}
      select exists (select 1 from own) as own, (select epoch from changed) as epoch`,
  ]);
  if (!outcome?.own) return { kind: 'lost-reservation' };
  return outcome.epoch === null ? { kind: 'account-elsewhere' } : { kind: 'committed', epoch: outcome.epoch };
}

/** The same for a transaction that is sent together: it fails where {@link commitMove} would say that nothing was changed. */
export function commitMoveOrFail(
  tx: Transaction,
  move: ReservedMove,
  deadlineMs: number,
): readonly PromiseLike<unknown>[] {
  return [
    tx`select set_config('statement_timeout', ${String(deadlineMs)}, true)`,
    tx`${ownerChangeTerms(tx, move)} select ${failUnless(tx, tx`exists (select 1 from changed)`)}`,
  ];
}

function ownerChangeTerms(tx: Transaction, move: ReservedMove): SqlFragment {
  return tx`
      with own as materialized (
        select w.id from account_move w join move_batch b on b.id = w.batch_id
         where w.id = ${move.moveId} and (w.state = 'fenced' or w.state = 'reserved' and b.state = 'running')
           for update of w
      ), changed as (
        ${changeOwner(tx, move, tx`exists (select 1 from own)`)}
      ), logged as (
        ${recordOwner(tx, tx`changed`, move.toInstanceId)}
      ), unmarked as (
        ${removeMarks(tx, tx`${move.moveId}`, tx`${move.accountId}`)}
      ), written as (
        update account_move m
           set state = 'delivering',
               fenced_at = coalesce(case when m.state = 'fenced' then m.fenced_at end, statement_timestamp()),
               committed_at = clock_timestamp(),
               epoch_after = c.epoch, reserved_by = null,
               pending_commands = (select count(*) from command q join device d on d.id = q.device_id
                                    where d.account_id = ${move.accountId} and ${commandStates.in(tx, 'pending', 'q')})
          from own cross join changed c
         where m.id = own.id)`;
}

/** Ends a move whose account is not owned by its source; one that is back there keeps its reservation. */
export async function cancelMoveElsewhere(tx: Transaction, move: ReservedMove): Promise<void> {
  await tx`
    with cancelled as (
      update account_move
         set state = 'cancelled', closed_at = now(), failure = 'the account is no longer at its source', reserved_by = null
       where id = ${move.moveId} and ${moveStates.in(tx, 'tried')}
         and not exists (select 1 from account where id = ${move.accountId} and instance_id = ${move.fromInstanceId})
      returning id)
    ${removeMarks(tx, tx`select id from cancelled`, tx`${move.accountId}`)}`;
}

/**
 * Removes the mark after a failed attempt; the move goes back to the queue, or is finally rolled back after
 * `maxAttempts`. The account's row is not touched: within one database nobody has seen the epoch of an attempt that did
 * not commit, and its blocker may still hold the row (docs/adr/0004).
 */
export async function unfenceMove(
  tx: Transaction,
  move: ReservedMove,
  failure: string,
  maxAttempts: number,
): Promise<'queued' | 'rolled-back'> {
  const state = move.attempts >= maxAttempts ? 'rolled-back' : 'queued';
  await tx`
    with unfenced as (
      update account_move
         set state = ${state}, failure = ${failure}, reserved_by = null,
             retry_at = clock_timestamp() + make_interval(secs => least(30, 0.2 * power(2, attempts))),
             closed_at = case when ${state} = 'rolled-back' then now() end
       where id = ${move.moveId} and ${moveStates.in(tx, 'tried')}
      returning account_id)
    ${removeMarks(tx, tx`${move.moveId}`, tx`select u.account_id from unfenced u`)}`;
  return state;
}

/**
 * How many device effects of moves are not acknowledged yet, up to `max`, without devices out of reach. By
 * account_move_awaited and delivery_move; each move's deliveries come before their states, as in {@link settleMoves}.
 */
export async function countUndrained(q: Queryable, max: number): Promise<number> {
  const [row] = await q<{ undrained: number }[]>`
    select count(*)::int as undrained from (
      select from account_move m cross join lateral (
        select d.state from delivery d where d.move_id = m.id offset 0) d
       where m.state = 'delivering' and not m.out_of_reach and ${deliveryStates.in(q, 'awaited', 'd')}
       order by m.id limit ${max}) u`;
  return row?.undrained ?? 0;
}

/** Which moves to check: the awaited ones are few; those out of reach may be all of a domain's. */
export type SettlingScope = 'awaited' | 'all';

/**
 * Settles moves whose deliveries are all answered, and closes batches without an open move, with an entry in the
 * domain's log unless they belong to an upgrade. Deliveries that failed settle too: the account has moved, and the
 * failure is reported with the delivery. By account_move_awaited or account_move_delivering, and move by move by
 * delivery_move: counting keeps the planner from scanning both tables, which it thinks is cheap as long as it has
 * no statistics. States are left to the count: if nothing was open when deliveries were analysed, it would take an index
 * of all open ones for an empty one.
 */
export async function settleMoves(tx: Transaction, scope: SettlingScope = 'all'): Promise<number> {
  const { count } = await tx`
    update account_move m set state = 'closed', settled_at = clock_timestamp(), closed_at = clock_timestamp(),
           out_of_reach = false
     where m.state = 'delivering' ${scope === 'awaited' ? tx`and not m.out_of_reach` : tx``}
       and (select count(*) filter (where ${deliveryStates.in(tx, 'open', 'd')}) from delivery d
             where d.move_id = m.id) = 0`;
  const done = await tx<{ id: string; upgradeId: string | null }[]>`
    update move_batch b set state = 'done'
     where b.state = 'running'
       and (select q.id from account_move q where q.batch_id = b.id and ${moveStates.in(tx, 'uncommitted', 'q')}
             order by q.batch_id, q.queued_at, q.id limit 1) is null
       and (select m.id from account_move m where m.batch_id = b.id and m.state = 'delivering'
             order by m.batch_id, m.id limit 1) is null
    returning b.id, b.upgrade_id as "upgradeId"`;
  for (const { id } of done.filter(({ upgradeId }) => upgradeId === null)) {
    await recordEvent(tx, { kind: 'move-done', subject: id, message: `the batch of moves ${id} is done` });
  }
  return count;
}

/**
 * Maintains the set of accounts out of reach: for `afterSeconds` since the commit none of the devices that owe the move
 * an answer has connected, or none of them can be woken. A device that connects ends this, and so does a move that
 * awaits no answer any more. Through the same indexes as {@link settleMoves} and device_account.
 */
export async function markOutOfReach(
  tx: Transaction,
  afterSeconds: number,
  scope: SettlingScope = 'all',
): Promise<void> {
  const since = tx`clock_timestamp() - make_interval(secs => ${afterSeconds})`;
  const devicesThatOwe = (which: SqlFragment) => tx`(
    select count(*) from device v
     where v.account_id = m.account_id and ${which}
       and (select count(*) filter (where ${deliveryStates.in(tx, 'open', 'd')}) from delivery d
             where d.move_id = m.id and d.device_id = v.id) > 0)`;
  await tx`
    update account_move m set out_of_reach = not m.out_of_reach
     where m.state = 'delivering' ${scope === 'awaited' ? tx`and not m.out_of_reach` : tx``}
       and m.out_of_reach <> (
         ${devicesThatOwe(tx`true`)} > 0
         and ${devicesThatOwe(tx`v.last_seen_at > ${since}`)} = 0
         and (m.committed_at < ${since} or ${devicesThatOwe(canBeWoken(tx, 'v'))} = 0))`;
}

/** Whether a move of a running batch is still to be made, now or later; by move_batch_running and account_move_queued. */
export async function areMovesQueued(q: Queryable): Promise<boolean> {
  const rows = await q`
    select from move_batch b
     where b.state = 'running'
       and (select m.id from account_move m where m.batch_id = b.id and ${moveStates.in(q, 'uncommitted', 'm')}
             order by m.batch_id, m.queued_at, m.id limit 1) is not null
     limit 1`;
  return rows.length > 0;
}

export type Delivering = 'awaited' | 'out of reach' | 'none';

/** Moves that still await answers; by account_move_awaited and account_move_delivering. */
export async function whoIsDelivering(q: Queryable): Promise<Delivering> {
  const one = (which: SqlFragment) => q`
    (select m.id from account_move m where m.state = 'delivering' ${which} order by m.id limit 1) is not null`;
  const [row] = await q<{ who: Delivering }[]>`
    select case when ${one(q`and not m.out_of_reach`)} then 'awaited' when ${one(q``)} then 'out of reach' else 'none' end as who`;
  return row?.who ?? 'none';
}

/** Calls back when moves were queued or resumed; the returned function unsubscribes. */
export async function listenForMoves(db: Database, onNotify: () => void): Promise<() => Promise<void>> {
  const { unlisten } = await db.listen('bramble_moves', onNotify);
  return unlisten;
}
