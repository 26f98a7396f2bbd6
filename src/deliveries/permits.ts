/**
 * Taking and releasing the budget's slots. Invariant 5: a delivery is only handed out when it holds one permit of its
 * instance and one of the domain (or, being a suspect that came back, one of 'suspects'). Both are taken in one
 * statement, so a crash leaves both or none.
 */
import type { Queryable } from '../database/connection.ts';
import { deliveryStates } from '../states/delivery-states.ts';

/**
 * Takes a permit of the instance and one of the domain for as many of these deliveries as permits are free, in the
 * given order, and returns those that may be handed out. A delivery already with the device (handed out again, or a
 * suspect) that holds permits is granted without further ones.
 *
 * One statement, designed to be embedded in another: `candidate` is the input, `granted` the output. Reads
 * delivery_permit by primary key (scope, number) and by delivery_permit_delivery; locks free rows FOR UPDATE SKIP
 * LOCKED, so concurrent statements never wait for one another and a row is never granted twice. One that locks more
 * than it can use makes this one see fewer: that costs a wake, never the budget. `number > 0` leaves out surplus
 * permits (see budget.ts).
 */
export async function takePermits(q: Queryable, instanceId: string, deliveryIds: readonly string[]): Promise<string[]> {
  if (deliveryIds.length === 0) return [];
  const rows = await q<{ deliveryId: string }[]>`
    with candidate as materialized (
      select c.delivery_id, c.position
        from unnest(${deliveryIds as string[]}::uuid[]) with ordinality as c(delivery_id, position)
    ), holding as materialized (
      select c.delivery_id from candidate c
        join delivery d on d.id = c.delivery_id and ${deliveryStates.in(q, 'with-device', 'd')}
       where exists (select 1 from delivery_permit p where p.delivery_id = c.delivery_id)
    ), wanting as materialized (
      select c.delivery_id, row_number() over (order by c.position) as n
        from candidate c where c.delivery_id not in (select h.delivery_id from holding h)
    ), instance_free as materialized (
      select number from delivery_permit
       where scope = ${instanceId}::text and number > 0 and delivery_id is null
       order by number limit (select count(*) from wanting)
         for update skip locked
    ), domain_free as materialized (
      select number from delivery_permit
       where scope = 'domain' and number > 0 and delivery_id is null
       order by number limit (select count(*) from instance_free)
         for update skip locked
    ), matched as materialized (
      select w.delivery_id, i.number as instance_number, d.number as domain_number
        from wanting w
        join (select number, row_number() over (order by number) as n from instance_free) i on i.n = w.n
        join (select number, row_number() over (order by number) as n from domain_free) d on d.n = w.n
    ), permit as (
      select ${instanceId}::text as scope, m.instance_number as number, m.delivery_id from matched m
      union all
      select 'domain', m.domain_number, m.delivery_id from matched m
    ), taken as (
      update delivery_permit p set delivery_id = permit.delivery_id, taken_at = clock_timestamp()
        from permit where p.scope = permit.scope and p.number = permit.number
    ), granted as (
      select m.delivery_id from matched m union all select h.delivery_id from holding h
    )
    select delivery_id as "deliveryId" from granted`;
  return rows.map((row) => row.deliveryId);
}

/**
 * Releases all permits that these deliveries hold, in every scope. Only for deliveries that the same transaction took
 * out of 'handed-out' or 'suspect': otherwise it would release permits still in use. By delivery_permit_delivery; locks
 * those rows.
 */
export async function freePermits(q: Queryable, deliveryIds: readonly string[]): Promise<void> {
  if (deliveryIds.length === 0) return;
  await q`
    update delivery_permit set delivery_id = null, taken_at = null
     where delivery_id = any(${deliveryIds as string[]}::uuid[])`;
}

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
