/** How many deliveries are open, silent and held back, for people. */
import { isAccountWithin, type Within } from '../accounts/account-scope.ts';
import type { Queryable } from '../database/connection.ts';
import { deliveryStates } from '../states/delivery-states.ts';
import { readBudget } from './budget.ts';

export interface OpenDeliveries {
  instanceId: string;
  owed: number;
  released: number;
  inFlight: number;
  suspects: number;
}

/** By the owner of their account, of those accounts that are seen; through index delivery_open. */
export async function countOpenDeliveries(q: Queryable, within: Within = null): Promise<OpenDeliveries[]> {
  return await q<OpenDeliveries[]>`
    select a.instance_id as "instanceId",
           count(*) filter (where d.state = 'owed')::int as owed,
           count(*) filter (where d.state = 'released')::int as released,
           count(*) filter (where d.state = 'handed-out')::int as "inFlight",
           count(*) filter (where d.state = 'suspect')::int as suspects
      from delivery d join account a on a.id = d.account_id
     where ${deliveryStates.in(q, 'open', 'd')} and ${isAccountWithin(q, q`d.account_id`, within)}
     group by a.instance_id`;
}

/** How many silent devices have; by delivery_open. */
export async function countSilent(q: Queryable): Promise<number> {
  const { suspectAfterSeconds } = await readBudget(q);
  const [row] = await q<{ silent: number }[]>`
    select count(*)::int as silent from delivery
     where ${deliveryStates.in(q, 'with-device')} and budgeted
       and handed_out_at < clock_timestamp() - make_interval(secs => ${suspectAfterSeconds})`;
  return row?.silent ?? 0;
}

export interface Hold {
  instanceId: string;
  reason: string;
  waiting: number;
  heldSeconds: number;
}

/** What holds back those of each instance, as its policy service last said. */
export async function listHolds(q: Queryable): Promise<Hold[]> {
  return await q<Hold[]>`
    select instance_id as "instanceId", reason, waiting, held_seconds as "heldSeconds" from delivery_hold`;
}

/** The same, with the instances' names. */
export async function listHeldBack(
  q: Queryable,
): Promise<{ instance: string; reason: string; waiting: number; heldSeconds: number }[]> {
  return await q`
    select i.name as instance, h.reason, h.waiting, h.held_seconds as "heldSeconds"
      from delivery_hold h join instance i on i.id = h.instance_id order by i.name`;
}
