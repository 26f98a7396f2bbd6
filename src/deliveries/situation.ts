/**
 * How an instance's deliveries stand just now, and what follows from it: how many may be released, and what holds the rest
 * back. The deciding is pure.
 * Invariant: exactly one factor is named as the one that holds back, and none while nothing waits.
 */
import type { Clock } from '../base/clock.ts';
import type { Queryable } from '../database/connection.ts';
import { atOnce, isRipe, type PaceAfterMove } from './after-move.ts';
import { createPacedLook } from './paced-look.ts';
import { deliveryStates } from './state/delivery-states.ts';

/** As stored in `delivery_hold.reason`. */
export type HoldReason = 'nothing' | 'rate-instance' | 'rate-domain' | 'slots-instance' | 'slots-domain' | 'suspects';

export interface Situation {
  /** Budgeted deliveries of own accounts that are owed to active devices. */
  readonly owed: number;
  /** Budgeted deliveries that were released, whose devices have not come for them yet. */
  readonly released: number;
  /** Devices behind those that were released lately, and so may come at any moment. */
  readonly expectedDevices: number;
  readonly freeInstance: number;
  /** Deliveries of own devices that are out with them. */
  readonly takenInstance: number;
  readonly freeDomain: number;
  /** Free places of suspects. */
  readonly freeSuspects: number;
  /** Deliveries in slots whose devices have been silent for too long: of this instance, and of all. */
  readonly silentInstance: number;
  readonly silentDomain: number;
  /** Those of all that were not made suspects one time-out later: their instances take no turns. */
  readonly forgottenDomain: number;
}

/** What is open for an instance's accounts: looked at row by row, so not at every turn where it is much. */
export interface OpenDeliveries extends Pick<Situation, 'owed' | 'released'> {
  /** Of those that are owed: by a move of just now, and not to be released yet. */
  readonly unripe: number;
}

/**
 * In proportion to what is open in the whole domain: by delivery_open once, with the instance's accounts (account_instance) and
 * the devices that are not active (device_inactive) beside it. `case` keeps the planner from making joins of them, which is
 * dear while it knows nothing of the rows.
 */
export async function countOpenDeliveries(
  q: Queryable,
  instanceId: string,
  pace: PaceAfterMove = atOnce,
): Promise<OpenDeliveries> {
  const [row] = await q<OpenDeliveries[]>`
    select count(*) filter (where d.state = 'released')::int as released,
           count(*) filter (where d.state = 'owed' and not ${isRipe(q, pace)})::int as unripe,
           count(*) filter (where d.state = 'owed' and case when d.device_id in (
             select v.id from device v where v.state <> 'active') then false else true end)::int as owed
      from delivery d
     where ${deliveryStates.in(q, 'waiting', 'd')} and d.budgeted
       and case when d.account_id in (select a.id from account a where a.instance_id = ${instanceId}) then true end`;
  return rowOf(row);
}

/**
 * The rest of the situation: by delivery_released (devices released more than `expectSeconds` ago count as asleep: they hold
 * nobody up), account_pkey, delivery_open (no more is handed out than there are slots) and the primary key of delivery_permit; takes
 * no locks. What was handed out more than `suspectAfterSeconds` ago is silent, and forgotten when it is twice as long ago.
 */
export async function readSlots(
  q: Queryable,
  instanceId: string,
  expectSeconds: number,
  suspectAfterSeconds: number,
): Promise<Omit<Situation, 'owed' | 'released'>> {
  const own = q`(select a.instance_id from account a where a.id = d.account_id) = ${instanceId}`;
  const [row] = await q<Omit<Situation, 'owed' | 'released'>[]>`
    select
      (select count(distinct d.device_id)::int from delivery d
        where d.state = 'released' and d.budgeted and ${own}
          and d.released_at > statement_timestamp() - make_interval(secs => ${expectSeconds})) as "expectedDevices",
      (select count(*)::int from delivery_permit
        where scope = ${instanceId}::text and number > 0 and delivery_id is null) as "freeInstance",
      (select count(*)::int from delivery_permit
        where scope = ${instanceId}::text and delivery_id is not null) as "takenInstance",
      (select count(*)::int from delivery_permit
        where scope = 'domain' and number > 0 and delivery_id is null) as "freeDomain",
      (select count(*)::int from delivery_permit
        where scope = 'suspects' and number > 0 and delivery_id is null) as "freeSuspects",
      s."silentInstance", s."silentDomain", s."forgottenDomain"
    from (select count(*) filter (where ${own})::int as "silentInstance",
                 count(*)::int as "silentDomain",
                 count(*) filter (where d.handed_out_at < clock_timestamp()
                   - make_interval(secs => ${suspectAfterSeconds * 2}))::int as "forgottenDomain"
            from delivery d
           where d.state = 'handed-out' and d.budgeted
             and d.handed_out_at < clock_timestamp() - make_interval(secs => ${suspectAfterSeconds})) s`;
  return rowOf(row);
}

function rowOf<Row>(row: Row | undefined): Row {
  if (row === undefined) throw new TypeError('a query of counts answered no row');
  return row;
}

/** However much is open in the domain, counting it costs a twentieth of the time at most. */
const durationsPerCount = 20;

export interface OpenCount {
  /**
   * What is open, as of the last count and of what was {@link gone} since. `dueInMs`: until then it says nothing of what was owed
   * after that count; Infinity where it was counted just now.
   */
  now(q: Queryable, instanceId: string, pace: PaceAfterMove): Promise<{ open: OpenDeliveries; dueInMs: number }>;
  /** So many were released, and so many are open no more; the next count knows better. */
  gone(released: number, settled: number): void;
}

export function createOpenCount(clock: Clock): OpenCount {
  let open: OpenDeliveries = { owed: 0, released: 0, unripe: 0 };
  const paced = createPacedLook(clock, durationsPerCount);
  return {
    async now(q, instanceId, pace) {
      const dueInMs = paced.dueInMs();
      if (dueInMs > 0) return { open, dueInMs };
      open = await paced.look(() => countOpenDeliveries(q, instanceId, pace));
      return { open, dueInMs: Infinity };
    },
    gone(released, settled) {
      const owed = Math.max(0, open.owed - released - settled);
      open = { owed, released: open.released + released, unripe: Math.min(open.unripe, owed) };
    },
  };
}

/** More devices are woken than there are slots, since some come late: so many for each free slot. */
const devicesPerFreeSlot = 2;

/** How many further devices may be released to: waking more than there are slots for makes no sense. */
export function waveWindow(situation: Situation): number {
  const free = Math.min(situation.freeInstance, situation.freeDomain);
  return Math.max(0, free * devicesPerFreeSlot - situation.expectedDevices);
}

/** The factor that holds back what is still owed (or released and waiting for a slot) after a turn. */
export function holdReason(
  situation: Situation,
  tokens: { readonly instance: number; readonly domain: number },
  releasedNow: number,
): HoldReason {
  const stillOwed = situation.owed - releasedNow;
  if (stillOwed <= 0 && situation.expectedDevices === 0) return 'nothing';
  if (situation.freeInstance === 0) return slotsOr(situation, 'slots-instance', situation.silentInstance);
  if (situation.freeDomain === 0) {
    return situation.forgottenDomain > 0 ? 'suspects' : slotsOr(situation, 'slots-domain', situation.silentDomain);
  }
  if (stillOwed <= 0) return 'nothing';
  if (tokens.domain < 1 && tokens.domain <= tokens.instance) return 'rate-domain';
  if (tokens.instance < 1) return 'rate-instance';
  return situation.freeInstance <= situation.freeDomain ? 'slots-instance' : 'slots-domain';
}

/** Silent devices that would leave their slots, had they a suspect's place to go to. */
function slotsOr(situation: Situation, slots: HoldReason, silent: number): HoldReason {
  return situation.freeSuspects === 0 && silent > 0 ? 'suspects' : slots;
}

/**
 * Writes what holds back and adds the time since the last turn to `held_seconds` where something was held then. A gap of more
 * than `longestTurnSeconds` (the instance was away) counts for that long only. By delivery_hold_pkey; instance's telemetry: no fence.
 */
export async function recordHold(
  q: Queryable,
  instanceId: string,
  reason: HoldReason,
  waiting: number,
  longestTurnSeconds = 5,
): Promise<void> {
  await q`
    insert into delivery_hold as h (instance_id, reason, waiting, since, updated_at)
    values (${instanceId}, ${reason}, ${waiting}, clock_timestamp(), clock_timestamp())
    on conflict (instance_id) do update
       set reason = excluded.reason, waiting = excluded.waiting,
           since = case when h.reason = excluded.reason then h.since else excluded.since end,
           held_seconds = h.held_seconds + case when h.reason = 'nothing' then 0
             else least(${longestTurnSeconds}::float8, extract(epoch from excluded.updated_at - h.updated_at)::float8) end,
           updated_at = excluded.updated_at`;
}
