/**
 * Waves, the accounts assigned to them, and the progress of their moves. The state of an account's move is read from
 * the moves themselves, never stored here, so that repeated and manual moves count correctly.
 */

import type { WaveGate } from '../../api/upgrade-plan.ts';
import type { AccountId, InstanceId, UpgradeId } from '../../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../../database/connection.ts';
import { openMovesOf } from '../../moves/move-reports.ts';
import { closeOutOfReach, isOutOfReachElsewhere } from '../../moves/out-of-reach.ts';
import { moveStates } from '../../states/move-states.ts';
import type { Upgrade } from './upgrade-store.ts';
import { type WaveState, waveStates } from './wave-states.ts';

/** A gate's answer about a wave. */
export interface WaveVerdict {
  readonly answer: NonNullable<WaveGate['answer']>;
  readonly reasons: readonly string[];
}

export interface Wave {
  number: number;
  name: string;
  state: WaveState;
  gate: WaveGate | null;
  startedAt: Date | null;
  soakingAt: Date | null;
  finishedAt: Date | null;
  /** When somebody whom the upgrade cannot go on without was last seen to be away. */
  absentUntil: Date | null;
  /** The database's time, and by it the seconds since its soak began, or since nobody is away. */
  readAt: Date;
  soakingSeconds: number;
}

export async function insertWaves(
  tx: Transaction,
  id: UpgradeId,
  waves: readonly { number: number; name: string }[],
): Promise<void> {
  await tx`
    insert into upgrade_wave (upgrade_id, number, name)
    select ${id}, number, name
      from unnest(${waves.map((wave) => wave.number)}::int[], ${waves.map((wave) => wave.name)}::text[]) as w(number, name)
    on conflict do nothing`;
}

export async function listWaves(q: Queryable, id: UpgradeId): Promise<Wave[]> {
  return await q<Wave[]>`
    select w.number, w.name, w.state, w.gate, w.started_at as "startedAt", w.soaking_at as "soakingAt",
           w.finished_at as "finishedAt", clock_timestamp() as "readAt", u.absent_until as "absentUntil",
           case when w.soaking_at is null then 0
                else extract(epoch from clock_timestamp() - greatest(w.soaking_at, u.absent_until)) end::float8 as "soakingSeconds"
      from upgrade_wave w
     cross join (select (progress->>'absentUntil')::timestamptz as absent_until from upgrade where id = ${id}) u
     where w.upgrade_id = ${id} order by w.number`;
}

/** Since when its deadlines are counted: since its start, or since the upgrade was resumed, or since nobody is away. */
export function runningSince({
  startedAt,
  gate,
  absentUntil,
}: Pick<Wave, 'startedAt' | 'gate' | 'absentUntil'>): Date | null {
  if (startedAt === null) return null;
  const resumedMs = gate?.windowFrom === undefined ? 0 : Date.parse(gate.windowFrom);
  return new Date(Math.max(startedAt.getTime(), resumedMs, absentUntil?.getTime() ?? 0));
}

/** Since when its soak is counted. */
export function soakingSince({ soakingAt, absentUntil }: Pick<Wave, 'soakingAt' | 'absentUntil'>): Date | null {
  if (soakingAt === null || absentUntil === null) return soakingAt;
  return new Date(Math.max(soakingAt.getTime(), absentUntil.getTime()));
}

/** A wave is in a state that a step does not expect. A retry does not help, so the upgrade pauses. */
export class WaveOutOfPlace extends Error {}

/**
 * Sets the wave's state and the time at which it came there.
 * @throws WaveOutOfPlace for a transition that {@link waveStates} does not have.
 */
export async function setWaveState(tx: Transaction, id: UpgradeId, number: number, state: WaveState): Promise<void> {
  const from = waveStates.states.filter((before) => waveStates.canBecome(before, state));
  const { count } = await tx`
    update upgrade_wave
       set state = ${state},
           started_at = case when ${state} = 'running' then coalesce(started_at, clock_timestamp()) else started_at end,
           soaking_at = case when ${state} = 'soaking' then clock_timestamp() else soaking_at end,
           finished_at = case when ${state} = 'passed' then clock_timestamp() else null end
     where upgrade_id = ${id} and number = ${number} and ${waveStates.among(tx, from)}`;
  if (count === 0) throw new WaveOutOfPlace(`wave ${number} cannot become ${state} from the state that it is in`);
}

/** Stores the gate's answer; the beginning of its window, and who overrode it, stay. */
export async function setWaveGate(tx: Transaction, id: UpgradeId, number: number, answer: WaveVerdict): Promise<void> {
  await tx`
    update upgrade_wave set gate = ${gateWith(tx, answer)} where upgrade_id = ${id} and number = ${number}`;
}

/**
 * The same if the wave is observed, the upgrade has not changed since it was read, and the answer is another one or was
 * stored more than `afterSeconds` ago.
 */
export async function refreshWaveGate(
  q: Queryable,
  read: Pick<Upgrade, 'id' | 'generation'>,
  number: number,
  answer: WaveVerdict,
  afterSeconds: number,
): Promise<void> {
  await q`
    update upgrade_wave
       set gate = ${gateWith(q, answer)}
     where upgrade_id = ${read.id} and number = ${number} and state = 'soaking'
       and exists (select 1 from upgrade where id = ${read.id} and generation = ${read.generation})
       and (gate->>'answer' is distinct from ${answer.answer}
            or (gate->>'at')::timestamptz < clock_timestamp() - make_interval(secs => ${afterSeconds}))`;
}

/** The value of `upgrade_wave.gate` with a new answer, as of now. */
function gateWith(q: Queryable, answer: WaveVerdict): SqlFragment {
  return q`
    ${q.json({ ...answer } as never)} || jsonb_build_object('at', clock_timestamp())
      || jsonb_strip_nulls(jsonb_build_object('windowFrom', gate->'windowFrom', 'acceptedBy', gate->'acceptedBy'))`;
}

/**
 * After a pause: what happened before no longer counts, nor does what a gate said about it. An open wave is observed
 * anew: a failed one runs again, a soaking one restarts its soak. Once all have passed, the gate judges them together,
 * so the window of each begins anew.
 */
export async function reopenWaves(tx: Transaction, id: UpgradeId): Promise<void> {
  await tx`
    update upgrade_wave w
       set state = case when state = 'failed' then 'running' else state end,
           soaking_at = case when state = 'soaking' then clock_timestamp() else soaking_at end,
           gate = case when state = 'passed' or gate ? 'acceptedBy' then coalesce(gate, '{}') else '{}' end
                  || jsonb_build_object('windowFrom', clock_timestamp())
     where upgrade_id = ${id}
       and (${waveStates.in(tx, 'begun')}
            or not exists (select 1 from upgrade_wave o where o.upgrade_id = w.upgrade_id and o.state <> 'passed'))`;
}

/** An operator overrides the wave's gate: from now on the wave moves and passes without being judged. */
export async function acceptWave(tx: Transaction, id: UpgradeId, number: number, by: string): Promise<void> {
  await tx`
    update upgrade_wave set gate = coalesce(gate, '{}') || jsonb_build_object('acceptedBy', ${by}::text)
     where upgrade_id = ${id} and number = ${number}`;
}

/** Who overrode the wave's gate. */
export function acceptedBy(wave: Pick<Wave, 'gate'>): string | undefined {
  return wave.gate?.acceptedBy;
}

/** The wave passes by an operator's decision; what happened so far counts for no gate that judges all waves. */
export async function passAcceptedWave(tx: Transaction, id: UpgradeId, number: number): Promise<void> {
  await setWaveState(tx, id, number, 'passed');
  await tx`
    update upgrade_wave set gate = coalesce(gate, '{}') || jsonb_build_object('windowFrom', clock_timestamp())
     where upgrade_id = ${id} and number = ${number}`;
}

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
