/** Batches of account moves: creating, pausing, turning back, and their progress. */

import { removeMarks } from '../accounts/account-owner.ts';
import type { Within } from '../accounts/account-scope.ts';
import { counted } from '../base/counted.ts';
import { type AccountId, type InstanceId, type MoveId, newId } from '../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { type Keyed, type PageAsked, pageOf, type Sorts } from '../database/keyset.ts';
import { recordEvent } from '../domain/events.ts';
import { holdStandingInstances } from '../instances/instance-locks.ts';
import type { MoveBatchState } from '../states/move-batch-states.ts';
import { moveStates } from '../states/move-states.ts';
import { isBatchWithin } from './batch-scope.ts';

type MovePurpose = 'manual' | 'wave' | 'reverse' | 'back';

interface NewMoveBatch {
  purpose: MovePurpose;
  /** Who asked for it: an administrator's token name or a component. */
  createdBy: string;
  upgradeId?: string;
  waveNumber?: number;
  moves: readonly AskedMove[];
  /** Finds the moves that conflict with something else, such as an open upgrade; these are skipped. */
  listHeld?: ListHeld;
}

export interface AskedMove {
  accountId: AccountId;
  toInstanceId: InstanceId;
}

/** `next` says what holds the account, and what to type instead. */
export interface HeldMove {
  accountId: AccountId;
  reason: 'assigned-by-upgrade' | 'moved-by-upgrade' | 'upgrade-reverses';
  next: string;
}

type ListHeld = (tx: Transaction, moves: readonly AskedMove[]) => Promise<HeldMove[]>;

type SkipReason = 'not-found' | 'already-there' | 'already-moving' | 'instance-retired' | HeldMove['reason'];

export interface SkippedMove {
  accountId: AccountId;
  reason: SkipReason;
  next?: string;
}

export interface CreatedMoveBatch {
  batchId: string;
  queued: number;
  /** Accounts that are not moved, each with the reason; never silently. */
  skipped: SkippedMove[];
}

/**
 * Queues moves under a new batch; relies on the unique index of open moves, so an account has at most one. Instances
 * that take accounts are locked FOR SHARE, so that none retires under a move that is being queued. A wave is logged in
 * its upgrade's log; an administrator's moves are logged in the domain's.
 */
export async function createMoveBatch(tx: Transaction, batch: NewMoveBatch): Promise<CreatedMoveBatch> {
  const batchId = newId<string>();
  await tx`
    insert into move_batch (id, purpose, upgrade_id, wave_number, state, created_by)
    values (${batchId}, ${batch.purpose}, ${batch.upgradeId ?? null}, ${batch.waveNumber ?? null}, 'running',
            ${batch.createdBy})`;
  const goals = [...new Set(batch.moves.map((move) => move.toInstanceId))];
  const standing = await holdStandingInstances(tx, goals);
  const standingIds = new Set<string>(standing.map(({ id }) => id));
  const toStanding = batch.moves.filter((move) => standingIds.has(move.toInstanceId));
  const held = new Map((await batch.listHeld?.(tx, toStanding))?.map((move) => [move.accountId, move]));
  const moves = toStanding.filter(({ accountId }) => !held.has(accountId));
  const moveIds = moves.map(() => newId<MoveId>());
  const queued = await tx<{ accountId: AccountId }[]>`
    insert into account_move (id, batch_id, account_id, from_instance_id, to_instance_id)
    select m.id, ${batchId}, a.id, a.instance_id, m.to_instance_id
      from unnest(${moveIds as string[]}::uuid[], ${moves.map((move) => move.accountId)}::uuid[],
                  ${moves.map((move) => move.toInstanceId)}::uuid[]) as m(id, account_id, to_instance_id)
      join account a on a.id = m.account_id and a.instance_id <> m.to_instance_id
     order by a.name
    on conflict do nothing
    returning account_id as "accountId"`;
  const done = new Set(queued.map((row) => row.accountId));
  const rest = batch.moves.filter((move) => !done.has(move.accountId));
  const found = await tx<{ id: AccountId; instanceId: InstanceId }[]>`
    select id, instance_id as "instanceId" from account where id = any(${rest.map((move) => move.accountId)}::uuid[])`;
  const instanceOf = new Map(found.map((row) => [row.id, row.instanceId]));
  const skipped = rest.map((move): SkippedMove => {
    const { accountId } = move;
    if (!standingIds.has(move.toInstanceId)) return { accountId, reason: 'instance-retired' };
    return held.get(accountId) ?? { accountId, reason: skipReason(instanceOf, move) };
  });
  if (queued.length > 0) await tx`select pg_notify('bramble_moves', '')`;
  else await tx`update move_batch set state = 'done' where id = ${batchId}`;
  if (batch.upgradeId === undefined && queued.length > 0) {
    const back = batch.purpose === 'back' ? ' back' : '';
    await recordEvent(tx, {
      kind: 'move-started',
      subject: batchId,
      message: `${batch.createdBy} moves ${counted(queued.length, 'account')}${back} to ${standing.map(({ name }) => name).join(', ')} (batch ${batchId})`,
    });
  }
  return { batchId, queued: queued.length, skipped };
}

function skipReason(instanceOf: ReadonlyMap<AccountId, InstanceId>, move: AskedMove): SkipReason {
  const instance = instanceOf.get(move.accountId);
  if (instance === undefined) return 'not-found';
  return instance === move.toInstanceId ? 'already-there' : 'already-moving';
}

/** How many moves of a batch are in each state. */
interface MoveCounts {
  queued: number;
  reserved: number;
  fenced: number;
  delivering: number;
  settled: number;
  closed: number;
  rolledBack: number;
  cancelled: number;
  /** Of those delivering: their devices were woken and did not come. */
  outOfReach: number;
}

export interface MoveBatch {
  batchId: string;
  purpose: MovePurpose;
  upgradeId: string | null;
  waveNumber: number | null;
  state: MoveBatchState;
  pauseReason: string | null;
  createdBy: string;
  createdAt: Date;
  counts: MoveCounts;
}

const sorts: Sorts<'createdAt'> = {
  createdAt: [
    { kind: 'time', of: (q) => q`b.created_at` },
    { kind: 'id', of: (q) => q`b.id` },
  ],
};

/** Batches with their counts: those of an upgrade are as many as its waves, so that they are sorted without an index. */
export async function listMoveBatches(
  q: Queryable,
  asked: PageAsked<'createdAt'> & { within: Within },
): Promise<{ rows: readonly MoveBatch[]; next: string | null }> {
  const page = pageOf(q, { name: 'moves', sorts }, asked);
  return page.cut(
    await q<(MoveBatch & Keyed)[]>`
      select ${columns(q)}, ${page.keys} as keys from move_batch b
       where ${page.condition} and ${isBatchWithin(q, asked.within)} order by ${page.order()} limit ${page.most}`,
  );
}

export async function moveBatchStatus(q: Queryable, batchId: string): Promise<MoveBatch | 'not-found'> {
  const [batch] = await q<MoveBatch[]>`select ${columns(q)} from move_batch b where b.id = ${batchId}`;
  return batch ?? 'not-found';
}

function columns(q: Queryable): SqlFragment {
  return q`
    b.id as "batchId", b.purpose, b.upgrade_id as "upgradeId", b.wave_number as "waveNumber", b.state,
    b.pause_reason as "pauseReason", b.created_by as "createdBy", b.created_at as "createdAt",
    (select json_build_object(
       'queued', count(*) filter (where m.state = 'queued'),
       'reserved', count(*) filter (where m.state = 'reserved'),
       'fenced', count(*) filter (where m.state = 'fenced'),
       'delivering', count(*) filter (where m.state = 'delivering'),
       'settled', count(*) filter (where m.state = 'settled'),
       'closed', count(*) filter (where m.state = 'closed'),
       'rolledBack', count(*) filter (where m.state = 'rolled-back'),
       'cancelled', count(*) filter (where m.state = 'cancelled'),
       'outOfReach', count(*) filter (where m.state = 'delivering' and m.out_of_reach))
       from account_move m where m.batch_id = b.id) as counts`;
}

/** From the commit on no move of the batch starts; those in progress reach a safe point. */
export async function pauseMoveBatch(tx: Transaction, batchId: string, reason: string): Promise<boolean> {
  const { count } = await tx`
    update move_batch set state = 'paused', pause_reason = ${reason} where id = ${batchId} and state = 'running'`;
  return count === 1;
}

export async function resumeMoveBatch(tx: Transaction, batchId: string): Promise<boolean> {
  const { count } = await tx`
    update move_batch set state = 'running', pause_reason = null where id = ${batchId} and state = 'paused'`;
  if (count === 1) await tx`select pg_notify('bramble_moves', '')`;
  return count === 1;
}

/**
 * Cancels uncommitted moves; committed ones stay. Waits for a move that is being committed: its transaction holds the
 * row. A paused batch has nothing left to hold back then: it is done, or once its deliveries are answered.
 */
export async function cancelMoveBatch(tx: Transaction, batchId: string): Promise<void> {
  await tx`
    with cancelled as (
      update account_move set state = 'cancelled', closed_at = now()
       where batch_id = ${batchId} and ${moveStates.in(tx, 'uncommitted')}
      returning id)
    ${removeMarks(tx, tx`select id from cancelled`)}`;
  await tx`
    update move_batch b set pause_reason = null, state = case when exists (
             select from account_move m where m.batch_id = b.id and m.state = 'delivering') then 'running' else 'done' end
     where b.id = ${batchId} and b.state = 'paused'`;
}

/**
 * Cancels uncommitted moves and queues a move home for every account that the batch has moved; an account that has
 * moved elsewhere since, or is held, stays where it is.
 */
export async function moveBatchBack(
  tx: Transaction,
  batchId: string,
  order: Pick<NewMoveBatch, 'createdBy' | 'listHeld'>,
): Promise<CreatedMoveBatch> {
  await cancelMoveBatch(tx, batchId);
  const moved = await tx<{ accountId: AccountId; toInstanceId: InstanceId }[]>`
    select m.account_id as "accountId", m.from_instance_id as "toInstanceId"
      from account_move m join account a on a.id = m.account_id and a.instance_id = m.to_instance_id
     where m.batch_id = ${batchId} and ${moveStates.in(tx, 'committed', 'm')}`;
  const held = (await order.listHeld?.(tx, moved)) ?? [];
  await tx`
    update account_move set state = 'closed', closed_at = now()
     where batch_id = ${batchId} and state = 'delivering'
       and not (account_id = any(${held.map(({ accountId }) => accountId)}::uuid[]))`;
  await tx`update move_batch set state = 'done' where id = ${batchId}`;
  return await createMoveBatch(tx, { purpose: 'back', ...order, moves: moved, listHeld: async () => held });
}
