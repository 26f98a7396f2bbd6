/**
 * The state of an instance's deliveries, and what follows from it: how many may be released, and what holds the rest
 * back. The decisions are pure. Invariant: exactly one limiting factor is named, and none while nothing waits.
 */
import type { Clock } from '../base/clock.ts';
import type { Queryable } from '../database/connection.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { atOnce, isRipe, type PaceAfterMove } from './after-move.ts';
import { createPacedLook } from './paced-look.ts';

/** As stored in `delivery_hold.reason`. */
export type HoldReason = 'nothing' | 'rate-instance' | 'rate-domain' | 'slots-instance' | 'slots-domain' | 'suspects';

export interface Situation {
  /** Budgeted deliveries of the instance's accounts that are owed to active devices. */
  readonly owed: number;
  /** Budgeted deliveries that were released and not fetched yet. */
  readonly released: number;
  /** Devices of those that were released recently, and so may connect at any moment. */
  readonly expectedDevices: number;
  readonly freeInstance: number;
  /** Deliveries that the instance's devices have. */
  readonly takenInstance: number;
  readonly freeDomain: number;
  /** Free places of suspects. */
  readonly freeSuspects: number;
  /** Deliveries in slots whose devices have been silent for too long: of this instance, and of all. */
  readonly silentInstance: number;
  readonly silentDomain: number;
  /** Those of all instances that did not become suspects within a further time-out: their instances take no turns. */
  readonly forgottenDomain: number;
}

/** Open deliveries of an instance's accounts: counted row by row, so not at every turn if there are many. */
interface OpenDeliveries extends Pick<Situation, 'owed' | 'released'> {
  /** Of the owed ones: due to a recent move, and not to be released yet. */
  readonly unripe: number;
}

/**
 * Cost proportional to all that is open in the domain, and to nothing else: by delivery_open once, and for each device that
 * something is open for by account_pkey and device_pkey. A set of the instance's accounts, or of the devices that are not
 * active, would be half of a domain in which nothing is open.
 */
export async function countOpenDeliveries(
  q: Queryable,
  instanceId: string,
  pace: PaceAfterMove = atOnce,
): Promise<OpenDeliveries> {
  const [row] = await q<OpenDeliveries[]>`
    select coalesce(sum(o.released), 0)::int as released, coalesce(sum(o.unripe), 0)::int as unripe,
           coalesce(sum(o.owed) filter (
             where o.owed > 0 and (select v.state from device v where v.id = o.device_id) = 'active'), 0)::int as owed
      from (select d.account_id, d.device_id, count(*) filter (where d.state = 'released') as released,
                   count(*) filter (where d.state = 'owed') as owed,
                   count(*) filter (where d.state = 'owed' and not ${isRipe(q, pace)}) as unripe
              from delivery d
             where ${deliveryStates.in(q, 'waiting', 'd')} and d.budgeted
             group by d.account_id, d.device_id offset 0) o
     where (select a.instance_id from account a where a.id = o.account_id) = ${instanceId}`;
  return rowOf(row);
}

/**
 * The rest of the situation: by delivery_released (devices released more than `expectSeconds` ago count as asleep: they
 * hold nobody up), account_pkey, delivery_open (no more are handed out than there are slots) and the primary key of
 * delivery_permit; takes no locks. A delivery handed out more than `suspectAfterSeconds` ago is silent, and forgotten
 * after twice that time.
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

/** However much is open in the domain, counting it takes at most a twentieth of the time. */
const durationsPerCount = 20;

interface OpenCount {
  /**
   * Open deliveries according to the last count, less those {@link gone} since. `dueInMs`: until then it ignores
   * deliveries owed after that count, which have to be looked for; Infinity if it was counted just now.
   */
  now(q: Queryable, instanceId: string, pace: PaceAfterMove): Promise<{ open: OpenDeliveries; dueInMs: number }>;
  /** This many were released, and this many are no longer open; the next count corrects it. */
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

/** More devices are woken than there are slots, since some connect late: this many per free slot. */
const devicesPerFreeSlot = 2;

/** How many further devices may be released to: it makes no sense to wake more than there are slots for. */
export function waveWindow(situation: Situation): number {
  const free = Math.min(situation.freeInstance, situation.freeDomain);
  return Math.max(0, free * devicesPerFreeSlot - situation.expectedDevices);
}

/** The factor that limits what is still owed (or released and waiting for a slot) after a turn. */
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

/** Silent devices that would free their slots if a suspect's place were available. */
function slotsOr(situation: Situation, slots: HoldReason, silent: number): HoldReason {
  return situation.freeSuspects === 0 && silent > 0 ? 'suspects' : slots;
}

/**
 * Records the limiting factor and adds the time since the last turn to `held_seconds` if something was held then. A gap
 * of more than `maxTurnSeconds` (the instance was away) counts only for that long. By delivery_hold_pkey; telemetry
 * of the instance: no fence.
 */
export async function recordHold(
  q: Queryable,
  instanceId: string,
  reason: HoldReason,
  waiting: number,
  maxTurnSeconds = 5,
): Promise<void> {
  await q`
    insert into delivery_hold as h (instance_id, reason, waiting, since, updated_at)
    values (${instanceId}, ${reason}, ${waiting}, clock_timestamp(), clock_timestamp())
    on conflict (instance_id) do update
       set reason = excluded.reason, waiting = excluded.waiting,
           since = case when h.reason = excluded.reason then h.since else excluded.since end,
           held_seconds = h.held_seconds + case when h.reason = 'nothing' then 0
             else least(${maxTurnSeconds}::float8, extract(epoch from excluded.updated_at - h.updated_at)::float8) end,
           updated_at = excluded.updated_at`;
}
