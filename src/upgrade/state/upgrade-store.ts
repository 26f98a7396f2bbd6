/**
 * The row of the domain's upgrade and its log.
 *
 * Invariants: the state changes by compare-and-set on (state, generation), only along the state machine, with an event
 * in the same transaction; at most one upgrade is open (unique index upgrade_open); a step of a coordinator commits
 * only while the coordinator holds the lease, which it proves under the row's lock.
 */

import { type UpgradePlan, upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { BrambleError } from '../../base/errors.ts';
import { newId, type UpgradeId } from '../../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../../database/connection.ts';
import { recordEvent } from '../../domain/events.ts';
import { nextDestinationOf } from '../../moves/move-reports.ts';
import { type Absence, type UpgradeProgressRow, upgradeProgressSchema } from './upgrade-plan.ts';
import {
  canFollow,
  isFinal,
  isPausable,
  type PausableState,
  type UpgradePosition,
  type UpgradeState,
  upgradeStates,
} from './upgrade-states.ts';
import {
  canReach,
  fieldsOfStep,
  progressOfRow,
  type ReachedStep,
  type UpgradeFacts,
  type UpgradeProgress,
} from './upgrade-steps.ts';

export interface Upgrade {
  id: UpgradeId;
  fromRelease: string;
  toRelease: string;
  state: UpgradeState;
  generation: number;
  pausedFrom: PausableState | null;
  pauseReason: string | null;
  plan: UpgradePlan;
  progress: UpgradeProgress;
  leaseHolder: string | null;
  /** By the database's clock. */
  leaseHeld: boolean;
  createdAt: Date;
  updatedAt: Date;
  finishedAt: Date | null;
}

type UpgradeRow = Omit<Upgrade, 'plan' | 'progress'> & { plan: unknown; progress: unknown };

const columns = (q: Queryable) => q`
  id, from_release as "fromRelease", to_release as "toRelease", state, generation::float8 as generation,
  paused_from as "pausedFrom", pause_reason as "pauseReason", plan, progress, lease_holder as "leaseHolder",
  coalesce(lease_until > clock_timestamp(), false) as "leaseHeld", created_at as "createdAt", updated_at as "updatedAt",
  finished_at as "finishedAt"`;

function parseRow(row: UpgradeRow): Upgrade {
  const progress = progressOfRow(upgradeProgressSchema.parse(row.progress));
  return { ...row, plan: upgradePlanSchema.parse(row.plan), progress };
}

/** Its position in the state machine. */
export function positionOf(upgrade: Pick<Upgrade, 'state' | 'pausedFrom'>): UpgradePosition {
  if (upgrade.state !== 'paused') return { state: upgrade.state, pausedFrom: null };
  if (upgrade.pausedFrom === null) throw new TypeError('a paused upgrade without the state that it came from');
  return { state: 'paused', pausedFrom: upgrade.pausedFrom };
}

/**
 * Writes a planned upgrade.
 * @throws BrambleError ERR_UPGRADE_OPEN when there is an open one.
 */
export async function insertUpgrade(
  tx: Transaction,
  upgrade: { fromRelease: string; toRelease: string; plan: UpgradePlan },
): Promise<Upgrade> {
  const [row] = await tx<UpgradeRow[]>`
    insert into upgrade (id, from_release, to_release, state, plan)
    values (${newId<UpgradeId>()}, ${upgrade.fromRelease}, ${upgrade.toRelease}, 'planned',
            ${tx.json(upgrade.plan as never)})
    on conflict do nothing
    returning ${columns(tx)}`;
  if (row === undefined) {
    throw upgradeOpen();
  }
  const inserted = parseRow(row);
  await recordUpgradeEvent(tx, inserted, `planned from ${upgrade.fromRelease} to ${upgrade.toRelease}`);
  return inserted;
}

export function upgradeOpen(): BrambleError {
  return new BrambleError(
    'ERR_UPGRADE_OPEN',
    'An upgrade is already open. Finish or reverse it first (`bramble upgrade status` shows it).',
  );
}

/** `2026-11-26 12:50 UTC` */
export function minuteText(at: Date): string {
  return `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** For a plan that may be replaced if that is requested. */
export function alreadyPlanned(open: Pick<Upgrade, 'state' | 'toRelease' | 'createdAt'>): BrambleError {
  return new BrambleError(
    'ERR_UPGRADE_OPEN',
    `An upgrade to ${open.toRelease} has been planned since ${minuteText(open.createdAt)}, but was not started. ` +
      'Give --replace (`replace` in REST) to replace it with this plan, or start it with `bramble upgrade start`.',
    { details: { state: open.state, toRelease: open.toRelease, createdAt: open.createdAt.toISOString() } },
  );
}

/** The open upgrade, through upgrade_open. */
export async function readOpenUpgrade(q: Queryable): Promise<Upgrade | undefined> {
  const [row] = await q<UpgradeRow[]>`
    select ${columns(q)} from upgrade where ${upgradeStates.notIn(q, 'ended')}`;
  return row && parseRow(row);
}

/** The open upgrade; if there is none, the one that was created last. */
export async function readLatestUpgrade(q: Queryable): Promise<Upgrade | undefined> {
  const [row] = await q<UpgradeRow[]>`
    select ${columns(q)} from upgrade
     order by (${upgradeStates.notIn(q, 'ended')}) desc, created_at desc limit 1`;
  return row && parseRow(row);
}

/** The open upgrade's windows while it moves accounts to the new release. Its plan may be large: nothing else of it is read. */
export async function readOpenWindows(q: Queryable): Promise<{ id: UpgradeId; windows: string[] } | undefined> {
  const [row] = await q<{ id: UpgradeId; windows: string[] }[]>`
    select id, plan->'options'->'windows' as windows from upgrade
     where ${upgradeStates.notIn(q, 'ended')} and ${upgradeStates.in(q, 'in-waves')}
       and plan->'options' ? 'windows'`;
  return row;
}

/**
 * Names of the instances that the open upgrade moves to: its new ones, and while it is reversed those that accounts are on the way
 * home to, one for each batch of those. Undefined before and after that, and while it is paused.
 */
export async function readDestinations(q: Queryable): Promise<{ id: UpgradeId; names: string[] } | undefined> {
  const [row] = await q<{ id: UpgradeId; names: string[] }[]>`
    select u.id, case when ${upgradeStates.in(q, 'homeward', 'u')} then array(
             select distinct i.name from move_batch b
               join instance i on i.id = ${nextDestinationOf(q, q`b.id`)}
              where b.upgrade_id = u.id and b.purpose = 'reverse')
           else array(select made->>'name' from jsonb_array_elements(u.progress->'newInstances') as made) end as names
      from upgrade u where ${upgradeStates.in(q, 'in-waves', 'u')} or ${upgradeStates.in(q, 'homeward', 'u')}`;
  return row;
}

/** Ids of the instances that the open upgrade has added, while they take accounts on trial or give them back. */
export async function listInstancesOnTrial(q: Queryable): Promise<ReadonlySet<string>> {
  const upgrade = await readOpenUpgrade(q);
  if (upgrade === undefined) return new Set();
  const isOnTrial = upgradeStates.has('on-trial', upgrade.pausedFrom ?? upgrade.state);
  return new Set(isOnTrial ? upgrade.progress.newInstances.map(({ instanceId }) => instanceId) : []);
}

/** The upgrade under its row lock, so that nobody changes it until the transaction ends. */
async function lockUpgrade(tx: Transaction, id: UpgradeId): Promise<Upgrade | undefined> {
  const [row] = await tx<UpgradeRow[]>`select ${columns(tx)} from upgrade where id = ${id} for update`;
  return row && parseRow(row);
}

/** The same of {@link readLatestUpgrade}, whatever its state. */
export async function lockLatestUpgrade(tx: Transaction): Promise<Upgrade | undefined> {
  const latest = await readLatestUpgrade(tx);
  return latest && (await lockUpgrade(tx, latest.id));
}

/** The open upgrade under its row lock; if the row changed while this waited, it is read again by its id. */
export async function lockOpenUpgrade(tx: Transaction): Promise<Upgrade | undefined> {
  const open = await readOpenUpgrade(tx);
  const locked = open && (await lockUpgrade(tx, open.id));
  return locked && !isFinal(locked.state) ? locked : undefined;
}

interface TransitionNote {
  message: string;
  detail?: Readonly<Record<string, unknown>>;
  /** Why it is paused; required when the next state is `paused`. */
  pauseReason?: string;
}

/**
 * Compare-and-set from the state and generation that `upgrade` was read with; `conflict` when somebody else was first.
 * @throws BrambleError ERR_UPGRADE_STATE for a transition that the state machine does not have.
 */
export async function transition(
  tx: Transaction,
  upgrade: Upgrade,
  next: UpgradeState,
  note: TransitionNote,
): Promise<{ kind: 'changed'; upgrade: Upgrade } | { kind: 'conflict' }> {
  if (!canFollow(positionOf(upgrade), next)) {
    throw new BrambleError(
      'ERR_UPGRADE_STATE',
      `An upgrade that is ${describePosition(upgrade)} cannot become ${next}.`,
      { details: { state: upgrade.state, pausedFrom: upgrade.pausedFrom, next } },
    );
  }
  const pausedFrom = next === 'paused' && isPausable(upgrade.state) ? upgrade.state : null;
  const [row] = await tx<UpgradeRow[]>`
    update upgrade
       set state = ${next}, generation = generation + 1, paused_from = ${pausedFrom},
           pause_reason = ${next === 'paused' ? (note.pauseReason ?? note.message) : null}, updated_at = now(),
           progress = progress - 'waitingFor',
           finished_at = case when ${isFinal(next)} then now() end
     where id = ${upgrade.id} and state = ${upgrade.state} and generation = ${upgrade.generation}
    returning ${columns(tx)}`;
  if (row === undefined) return { kind: 'conflict' };
  const changed = parseRow(row);
  await recordUpgradeEvent(tx, changed, note.message, note.detail);
  return { kind: 'changed', upgrade: changed };
}

export function describePosition(upgrade: Pick<Upgrade, 'state' | 'pausedFrom'>): string {
  return upgrade.pausedFrom === null ? upgrade.state : `paused in ${upgrade.pausedFrom}`;
}

/** In the upgrade's log and in the domain's, so that `bramble events` shows pauses, waves and all the rest. */
export async function recordUpgradeEvent(
  q: Queryable,
  upgrade: Pick<Upgrade, 'id' | 'generation' | 'state' | 'toRelease'>,
  message: string,
  detail: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await q`
    insert into upgrade_event (upgrade_id, generation, state, message, detail)
    values (${upgrade.id}, ${upgrade.generation}, ${upgrade.state}, ${message}, ${q.json(detail as never)})`;
  await recordEvent(q, {
    kind: `upgrade-${upgrade.state}`,
    subject: upgrade.toRelease,
    message: `upgrade to ${upgrade.toRelease}: ${message}`,
  });
}

/** Merges into `progress`; keys that are not named stay. Call it under the row's lock. */
export async function mergeProgress(tx: Transaction, id: UpgradeId, change: Partial<UpgradeFacts>): Promise<void> {
  await writeProgress(tx, id, change);
}

/**
 * Records that a step is reached, with `facts`, in the transaction of its effect. Call it under the row's lock, with
 * the upgrade as read under that lock.
 * @throws TypeError for a step that does not follow the present one.
 */
export async function reachStep(
  tx: Transaction,
  { id, progress }: Pick<Upgrade, 'id' | 'progress'>,
  step: ReachedStep,
  facts: Partial<UpgradeFacts> = {},
): Promise<void> {
  if (!canReach(progress.step, step.at)) throw new TypeError(`${step.at} does not follow ${progress.step.at}`);
  await writeProgress(tx, id, { ...facts, ...fieldsOfStep(step) });
}

async function writeProgress(tx: Transaction, id: UpgradeId, change: Partial<UpgradeProgressRow>): Promise<void> {
  await tx`
    update upgrade set progress = progress || ${tx.json(change as never)}, updated_at = now() where id = ${id}`;
}

/** Shows what a coordinator waits for, unless the upgrade has changed meanwhile. */
export async function setWaitingFor(
  q: Queryable,
  read: Pick<Upgrade, 'id' | 'generation'>,
  reason: string,
): Promise<void> {
  await q`
    update upgrade set progress = progress || ${q.json({ waitingFor: reason })}
     where id = ${read.id} and generation = ${read.generation}`;
}

/**
 * Somebody whom the upgrade cannot go on without is away: no deadline, soak or patience runs meanwhile, and whoever was told to come
 * later has all of it to come back. Written at most once a second, and not for an upgrade that went on since it was read.
 */
export async function noteAbsence(
  q: Queryable,
  read: Pick<Upgrade, 'id' | 'generation' | 'progress'>,
  lost: readonly Absence[] = [],
): Promise<void> {
  const isNoted = (noted: Absence) => lost.some(({ name, since }) => name === noted.name && since === noted.since);
  const others = read.progress.absences.filter((noted) => !isNoted(noted));
  const absences = lost.length === 0 ? {} : { absences: [...others, ...lost].slice(-maxAbsences) };
  await q`
    update upgrade set progress = progress || ${q.json(absences as never)} || ${absentUntilNow(q)}
     where id = ${read.id} and generation = ${read.generation}
       and coalesce((progress->>'absentUntil')::timestamptz < clock_timestamp() - interval '1 second', true)`;
}

const maxAbsences = 100;

function absentUntilNow(q: Queryable): SqlFragment {
  return q`jsonb_build_object('absentUntil', clock_timestamp())`;
}

/** Replaces the plan of an upgrade that has not begun. */
export async function replacePlan(tx: Transaction, id: UpgradeId, plan: UpgradePlan): Promise<void> {
  await tx`update upgrade set plan = ${tx.json(plan as never)}, updated_at = now() where id = ${id}`;
}

export interface UpgradeEvent {
  id: number;
  at: Date;
  state: string;
  message: string;
  detail: Record<string, unknown>;
}

export type PauseCause = 'gate' | 'failed-moves' | 'other';

/** What caused the present pause: the log has a gate's answer beside it, or how many moves failed. */
export async function readPauseCause(q: Queryable, { id, generation }: Upgrade): Promise<PauseCause> {
  const [row] = await q<{ cause: PauseCause }[]>`
    select case when detail ? 'gate' then 'gate' when detail ? 'failedMoves' then 'failed-moves' else 'other' end as cause
      from upgrade_event
     where upgrade_id = ${id} and generation = ${generation} and state = 'paused'
     order by (detail ? 'gate') desc, (detail ? 'failedMoves') desc limit 1`;
  return row?.cause ?? 'other';
}

/** From its creation to its end, or until now. */
export async function readDurationSeconds(q: Queryable, { id }: Upgrade): Promise<number> {
  const [row] = await q<{ seconds: number }[]>`
    select extract(epoch from coalesce(finished_at, clock_timestamp()) - created_at)::float8 as seconds
      from upgrade where id = ${id}`;
  return row?.seconds ?? 0;
}

/** All events of an upgrade, oldest first. */
export async function listUpgradeEvents(q: Queryable, id: UpgradeId): Promise<UpgradeEvent[]> {
  return await q<UpgradeEvent[]>`
    select e.id::int as id, e.at, e.state, e.message, e.detail from upgrade_event e
     where e.upgrade_id = ${id} order by e.id`;
}

/** How long a coordinator's lease lasts unless it is renewed. */
const coordinatorLeaseSeconds = 10;
/** After this long without a coordinator nobody has looked: the upgrade was absent itself. */
const unledSeconds = 30;

/** Takes or renews the lease, by the database's clock; `false` while another coordinator holds it. */
export async function takeLease(q: Queryable, id: UpgradeId, holder: string): Promise<boolean> {
  const { count } = await q`
    update upgrade
       set lease_holder = ${holder}, lease_until = clock_timestamp() + make_interval(secs => ${coordinatorLeaseSeconds}),
           progress = case when lease_until < clock_timestamp() - make_interval(secs => ${unledSeconds})
                           then progress || ${absentUntilNow(q)} else progress end
     where id = ${id} and (lease_holder is null or lease_holder = ${holder} or lease_until < clock_timestamp())`;
  return count === 1;
}

/** Renews a lease that this holder has, even if it ran out, unless another coordinator took it; never takes one. */
export async function renewLease(q: Queryable, id: UpgradeId, holder: string): Promise<void> {
  await q`
    update upgrade set lease_until = clock_timestamp() + make_interval(secs => ${coordinatorLeaseSeconds})
     where id = ${id} and lease_holder = ${holder}`;
}

/** Releases the lease, so that another coordinator need not wait for it to expire. */
export async function releaseLease(q: Queryable, id: UpgradeId, holder: string): Promise<void> {
  await q`update upgrade set lease_until = null, lease_holder = null where id = ${id} and lease_holder = ${holder}`;
}

/** Another coordinator holds the lease: the step had no effect. */
export class LeaseLostError extends BrambleError {
  constructor(holder: string | null) {
    super(
      'ERR_UPGRADE_LEASE',
      `Another coordinator (${holder ?? 'none'}) holds the upgrade’s lease; this one steps back.`,
    );
  }
}

/** A coordinator that is suspended in the middle of a transaction must not keep the row's lock for ever. */
const maxIdleMs = 10_000;

/** The row under its lock, if this holder has the lease: for transactions that begin with another lock. */
export async function lockLeased(tx: Transaction, id: UpgradeId, holder: string): Promise<Upgrade> {
  await tx`select set_config('idle_in_transaction_session_timeout', ${`${maxIdleMs}ms`}, true)`;
  const upgrade = await lockUpgrade(tx, id);
  if (upgrade === undefined || upgrade.leaseHolder !== holder) throw new LeaseLostError(upgrade?.leaseHolder ?? null);
  return upgrade;
}
