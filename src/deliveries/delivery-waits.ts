/** What the open deliveries of the domain are waiting for. */
import type { Queryable } from '../database/connection.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { readBudget, silentPatience } from './budget.ts';
import type { HoldReason } from './situation.ts';
import { holdMessage } from './waiting-reason.ts';

export interface WaitingHold {
  readonly instance: string;
  readonly reason: Exclude<HoldReason, 'nothing'>;
  readonly waiting: number;
  readonly since: Date;
  readonly message: string;
}

/** An instance that has written none for ten seconds is away, and waited for as a process. */
export async function listWaitingHolds(q: Queryable): Promise<WaitingHold[]> {
  const rows = await q<Omit<WaitingHold, 'message'>[]>`
    select i.name as instance, h.reason, h.waiting, h.since
      from delivery_hold h join instance i on i.id = h.instance_id
     where h.reason <> 'nothing' and h.updated_at > clock_timestamp() - interval '10 seconds'
     order by i.name`;
  return rows.map((row) => ({ ...row, message: holdMessage(row.reason) }));
}

export interface SilentDevices {
  readonly count: number;
  readonly since: Date | null;
  /** Account and id of some of them. */
  readonly devices: readonly string[];
  /** How many of their deliveries hold slots, and whether no suspect's place is free for these. */
  readonly inSlots: number;
  readonly capReached: boolean;
  /** After this time even those lose their slots or places, as long as any holds a slot. */
  readonly patienceSeconds: number;
}

/** Devices that took a delivery and have not answered for longer than the budget allows; by delivery_open. */
export async function listSilent(q: Queryable): Promise<SilentDevices> {
  const { suspectAfterSeconds } = await readBudget(q);
  const rows = await q<{ device: string; since: Date; count: number; inSlots: number; capReached: boolean }[]>`
    select a.name || ': ' || d.device_id as device, min(d.handed_out_at) as since, (count(*) over ())::int as count,
           (sum(bool_or(d.state = 'handed-out')::int) over ())::int as "inSlots",
           not exists (select 1 from delivery_permit
                        where scope = 'suspects' and number > 0 and delivery_id is null) as "capReached"
      from delivery d join account a on a.id = d.account_id
     where ${deliveryStates.in(q, 'with-device', 'd')} and d.budgeted
       and d.handed_out_at < clock_timestamp() - make_interval(secs => ${suspectAfterSeconds})
     group by a.name, d.device_id order by 2 limit 20`;
  const [first] = rows;
  return {
    count: first?.count ?? 0,
    since: first?.since ?? null,
    devices: rows.map(({ device }) => device),
    inSlots: first?.inSlots ?? 0,
    capReached: first?.capReached ?? false,
    patienceSeconds: suspectAfterSeconds * (silentPatience + 1),
  };
}
