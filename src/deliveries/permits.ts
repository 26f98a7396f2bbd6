/**
 * Upkeep of the budget's slots. The connect statement takes and releases them (invariant 5: a delivery is only handed out
 * when it holds one permit of its instance and one of the domain, or, being a suspect that came back, one of 'suspects').
 */
import type { Queryable } from '../database/connection.ts';
import { deliveryStates } from '../states/delivery-states.ts';

/**
 * Frees permits whose delivery is not with a device (settled while it became a suspect, or deleted with its account)
 * and deletes surplus ones that were released. Returns how many. Strays are determined first and rechecked by delivery:
 * a permit granted again meanwhile is left alone.
 */
export async function collectStrayPermits(q: Queryable): Promise<number> {
  const freed = await q`
    with stray as materialized (
      select p.scope, p.number, p.delivery_id from delivery_permit p
       where p.delivery_id is not null
         and not exists (select 1 from delivery d where d.id = p.delivery_id and ${deliveryStates.in(q, 'with-device', 'd')})
    ), locked as materialized (
      select p.scope, p.number from delivery_permit p join stray using (scope, number)
       where p.delivery_id = stray.delivery_id
         for update of p skip locked
    )
    update delivery_permit p set delivery_id = null, taken_at = null
      from locked where p.scope = locked.scope and p.number = locked.number`;
  const surplus = await q`delete from delivery_permit where number < 0 and delivery_id is null`;
  return freed.count + surplus.count;
}

interface PermitUse {
  readonly scope: string;
  readonly size: number;
  readonly taken: number;
}

/** How many permits exist and how many are taken, by scope. */
export async function readPermitUse(q: Queryable): Promise<PermitUse[]> {
  return await q<PermitUse[]>`
    select scope, count(*) filter (where number > 0)::int as size, count(delivery_id)::int as taken
      from delivery_permit group by scope order by scope`;
}
