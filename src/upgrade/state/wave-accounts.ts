/**
 * The accounts of waves and the progress of their moves. The state of an account's move is read from the moves themselves, never stored
 * here, so that repeated and manual moves count correctly.
 */
import type { AccountId, InstanceId, UpgradeId } from '../../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../../database/connection.ts';
import { openMovesOf } from '../../moves/move-reports.ts';
import { closeOutOfReach, isOutOfReachElsewhere } from '../../moves/out-of-reach.ts';
import { moveStates } from '../../states/move-states.ts';

export interface Assignment {
  accountId: AccountId;
  waveNumber: number;
  fromInstanceId: InstanceId;
  toInstanceId: InstanceId;
}

export async function insertAssignments(
  tx: Transaction,
  id: UpgradeId,
  assignments: readonly Assignment[],
): Promise<void> {
  await tx`
    insert into upgrade_assignment (upgrade_id, account_id, wave_number, from_instance_id, to_instance_id)
    select ${id}, a.id, n.wave_number, n.from_instance_id, n.to_instance_id
      from unnest(${assignments.map((row) => row.accountId)}::uuid[], ${assignments.map((row) => row.waveNumber)}::int[],
                  ${assignments.map((row) => row.fromInstanceId)}::uuid[],
                  ${assignments.map((row) => row.toInstanceId)}::uuid[])
        as n(account_id, wave_number, from_instance_id, to_instance_id)
      join account a on a.id = n.account_id
    on conflict do nothing`;
}

/** Accounts at these old instances that are in no wave; one that was moved back by hand stays in its wave. */
export async function listLatecomers(
  q: Queryable,
  id: UpgradeId,
  instanceIds: readonly string[],
): Promise<Pick<Assignment, 'accountId' | 'fromInstanceId'>[]> {
  return await q<Pick<Assignment, 'accountId' | 'fromInstanceId'>[]>`
    select a.id as "accountId", a.instance_id as "fromInstanceId" from account a
     where a.instance_id = any(${[...instanceIds]}::uuid[])
       and not exists (select 1 from upgrade_assignment s where s.upgrade_id = ${id} and s.account_id = a.id)
     order by a.name`;
}

/** How many accounts are assigned to each instance, by its name. */
export async function countAssigned(q: Queryable, id: UpgradeId): Promise<Map<string, number>> {
  const rows = await q<{ name: string; count: number }[]>`
    select i.name, count(*)::int as count from upgrade_assignment s join instance i on i.id = s.to_instance_id
     where s.upgrade_id = ${id} group by i.name`;
  return new Map(rows.map(({ name, count }) => [name, count]));
}

/**
 * Accounts of this old instance that are still there, in waves that have not begun, with the name of their destination; in the order of
 * the waves. Not those whose names are given.
 */
export async function listWaitingAssignments(
  q: Queryable,
  id: UpgradeId,
  fromInstanceId: string,
  except: readonly string[],
): Promise<{ accountId: AccountId; goal: string; goalId: string; wave: number }[]> {
  return await q<{ accountId: AccountId; goal: string; goalId: string; wave: number }[]>`
    select s.account_id as "accountId", i.name as goal, i.id as "goalId", s.wave_number as wave
      from upgrade_assignment s
      join upgrade_wave w on w.upgrade_id = s.upgrade_id and w.number = s.wave_number and w.state = 'waiting'
      join account a on a.id = s.account_id and a.instance_id = s.from_instance_id
      join instance i on i.id = s.to_instance_id
     where s.upgrade_id = ${id} and s.from_instance_id = ${fromInstanceId} and not (a.name = any(${[...except]}::text[]))
     order by s.wave_number, a.name`;
}

/** Whether it is the instance that this assigned account came from. */
export async function isHomeOf(q: Queryable, id: UpgradeId, accountId: string, instanceId: string): Promise<boolean> {
  const rows = await q`
    select 1 from upgrade_assignment
     where upgrade_id = ${id} and account_id = ${accountId} and from_instance_id = ${instanceId}`;
  return rows.length > 0;
}

/** Changes where assigned accounts go, and nothing else. */
export async function changeDestinations(
  tx: Transaction,
  id: UpgradeId,
  changes: readonly Pick<Assignment, 'accountId' | 'toInstanceId'>[],
): Promise<void> {
  await tx`
    update upgrade_assignment s set to_instance_id = c.to_instance_id
      from unnest(${changes.map(({ accountId }) => accountId)}::uuid[],
                  ${changes.map(({ toInstanceId }) => toInstanceId)}::uuid[]) as c(account_id, to_instance_id)
     where s.upgrade_id = ${id} and s.account_id = c.account_id`;
}

/** Changes an account's destination and wave; `not-assigned` if it has no assignment. */
export async function changeAssignment(
  tx: Transaction,
  id: UpgradeId,
  change: { accountId: string; toInstanceId: string; waveNumber?: number },
): Promise<'changed' | 'not-assigned'> {
  const { count } = await tx`
    update upgrade_assignment
       set to_instance_id = ${change.toInstanceId}, wave_number = coalesce(${change.waveNumber ?? null}, wave_number)
     where upgrade_id = ${id} and account_id = ${change.accountId}`;
  return count === 1 ? 'changed' : 'not-assigned';
}

/**
 * Assigns an account that has no assignment: from its instance, or, if that is a new one, from the one that it
 * replaces.
 */
export async function insertAssignment(
  tx: Transaction,
  id: UpgradeId,
  assignment: {
    accountId: string;
    toInstanceId: string;
    waveNumber: number;
    homes: readonly { instanceId: string; homeId: string }[];
  },
): Promise<void> {
  const { accountId, toInstanceId, waveNumber, homes } = assignment;
  await tx`
    insert into upgrade_assignment (upgrade_id, account_id, wave_number, from_instance_id, to_instance_id)
    select ${id}, a.id, ${waveNumber}, coalesce(h.home_id, a.instance_id), ${toInstanceId}
      from account a
      left join unnest(${homes.map((home) => home.instanceId)}::uuid[], ${homes.map((home) => home.homeId)}::uuid[])
             as h(instance_id, home_id) on h.instance_id = a.instance_id
     where a.id = ${accountId}`;
}

/** {@link closeOutOfReach} for accounts of the waves up to `wave`: the account's next move owes what those moves owed. */
export async function closeOutOfReachElsewhere(tx: Transaction, id: UpgradeId, wave: number): Promise<void> {
  await closeOutOfReach(
    tx,
    tx`
      select s.account_id, s.to_instance_id from upgrade_assignment s
       where s.upgrade_id = ${id} and s.wave_number <= ${wave}`,
  );
}

/**
 * An account that is to be moved; `displaced` if an administrator moved it away from its destination, or anywhere since
 * the wave started.
 */
export interface UnmovedAccount {
  accountId: AccountId;
  toInstanceId: InstanceId;
  displaced: { account: string; at: string; by: string } | null;
}

/**
 * Accounts of the waves up to `wave` that are not at their destination and have no open move. Cost proportional to the
 * accounts of these waves, by upgrade_assignment_wave, account_pkey and account_move_open; those left by
 * account_move_account.
 */
export async function listUnmoved(q: Queryable, id: UpgradeId, wave: number): Promise<UnmovedAccount[]> {
  return await q<UnmovedAccount[]>`
    select s.account_id as "accountId", s.to_instance_id as "toInstanceId",
           case when l.by_hand and (l.from_instance_id = s.to_instance_id or l.committed_at > w.started_at)
                then json_build_object('account', a.name, 'at', i.name, 'by', l.created_by) end as displaced
      from upgrade_assignment s
      join upgrade_wave w on w.upgrade_id = s.upgrade_id and w.number = s.wave_number
     cross join lateral (select n.name, n.instance_id from account n where n.id = s.account_id offset 0) a
      join instance i on i.id = a.instance_id
      left join lateral (
        select m.from_instance_id, m.committed_at, b.created_by, b.upgrade_id is null as by_hand
          from account_move m join move_batch b on b.id = m.batch_id
         where m.account_id = s.account_id and m.committed_at > (select created_at from upgrade where id = ${id})
         order by m.account_id, m.committed_at desc limit 1) l on true
     where s.upgrade_id = ${id} and s.wave_number <= ${wave} and a.instance_id <> s.to_instance_id
       and ${openMovesOf(q, q`s.account_id`)} = 0
     order by a.name`;
}

/** A query for the moves by which this upgrade's accounts are where they are, for statements about them. */
export function movesThatStand(q: Queryable, id: UpgradeId): SqlFragment {
  return q`
    select m.id from move_batch b
      join account_move m on m.batch_id = b.id
      join account a on a.id = m.account_id and a.instance_id = m.to_instance_id
     where b.upgrade_id = ${id} and b.purpose = 'wave' and m.committed_at is not null`;
}

/** The names of the instances to which the wave moves accounts. */
export async function listDestinations(q: Queryable, id: UpgradeId, wave: number): Promise<string[]> {
  const rows = await q<{ name: string }[]>`
    select distinct i.name from upgrade_assignment s join instance i on i.id = s.to_instance_id
     where s.upgrade_id = ${id} and s.wave_number = ${wave}`;
  return rows.map(({ name }) => name);
}

/** Of these instances those to which moves of the upgrade are queued: through account_move_queued, all of them at worst. */
export async function listAwaitedDestinations(
  q: Queryable,
  id: UpgradeId,
  names: readonly string[],
): Promise<string[]> {
  const rows = await q<{ name: string }[]>`
    select i.name from instance i
     where i.name = any(${names as string[]})
       and exists (select 1 from move_batch b join account_move m on m.batch_id = b.id
                    where b.upgrade_id = ${id} and m.to_instance_id = i.id and ${moveStates.in(q, 'uncommitted', 'm')})`;
  return rows.map(({ name }) => name);
}

export interface WaveMoves {
  accounts: number;
  /** At their destination, with all deliveries answered. */
  settled: number;
  /** At their destination, with devices that were woken and did not connect: no wave waits for them. */
  outOfReach: number;
  /** At their destination, with open deliveries. */
  delivering: number;
  /** Not moved yet, with an open move. */
  underWay: number;
  /** Not moved, and without an open move that can end. */
  waiting: number;
  /** Whose last move by this upgrade failed after the wave was last started or resumed. */
  failed: number;
}

/** The moves of one wave's accounts. By upgrade_assignment_wave, account_move_open and account_move_batch. */
export async function readWaveMoves(q: Queryable, id: UpgradeId, wave: number): Promise<WaveMoves> {
  const [row] = await q<WaveMoves[]>`
    with rolled_back as materialized (
      select m.account_id, max(m.closed_at) as at
        from move_batch b join account_move m on m.batch_id = b.id
       where b.upgrade_id = ${id} and m.state = 'rolled-back'
       group by m.account_id)
    select count(*)::int as accounts,
           count(*) filter (where at_goal and (o.state is null or o.state = 'settled'))::int as settled,
           count(*) filter (where at_goal and o.state = 'delivering' and o.out_of_reach)::int as "outOfReach",
           count(*) filter (where at_goal and o.state <> 'settled' and not o.out_of_reach)::int as delivering,
           count(*) filter (where not at_goal and o.state is not null)::int as "underWay",
           count(*) filter (where not at_goal and o.state is null)::int as waiting,
           count(*) filter (where not at_goal and o.state is null
                               and f.at > greatest((w.gate->>'windowFrom')::timestamptz, w.started_at))::int as failed
      from upgrade_assignment s
      join account a on a.id = s.account_id
      join upgrade_wave w on w.upgrade_id = s.upgrade_id and w.number = s.wave_number
      cross join lateral (select a.instance_id = s.to_instance_id as at_goal) g
      left join lateral (
        select m.state, m.out_of_reach from account_move m
         where m.account_id = s.account_id and ${moveStates.notIn(q, 'ended', 'm')}
           and not ${isOutOfReachElsewhere(q, q`s.to_instance_id`)}) o on true
      left join rolled_back f on f.account_id = s.account_id
     where s.upgrade_id = ${id} and s.wave_number = ${wave}`;
  return row ?? { accounts: 0, settled: 0, outOfReach: 0, delivering: 0, underWay: 0, waiting: 0, failed: 0 };
}
