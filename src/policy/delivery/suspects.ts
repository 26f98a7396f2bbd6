/**
 * Devices that took a delivery and fell silent become suspects: their slots are free for others, under a cap of their own.
 * Invariant 5: a delivery changes from slots to a suspects' permit in one statement; where no such permit is free it keeps
 * its slots.
 */
import type { Queryable } from '../../database/connection.ts';

/**
 * Marks this instance's deliveries that were handed out longer ago than `afterSeconds` as suspects, the oldest first, as far
 * as the cap allows; returns their ids. An account that moves or is locked just now is left for the next time.
 * By delivery_open; locks account rows FOR SHARE and delivery and permit rows FOR UPDATE, all SKIP LOCKED.
 */
export async function markSuspects(q: Queryable, instanceId: string, afterSeconds: number): Promise<string[]> {
  const rows = await q<{ id: string }[]>`
    with silent as materialized (
      select d.id from delivery d
        join account a on a.id = d.account_id and a.instance_id = ${instanceId}
       where d.state = 'handed-out' and d.budgeted
         and d.handed_out_at < clock_timestamp() - make_interval(secs => ${afterSeconds})
       order by d.handed_out_at limit 200
    ), fenced as materialized (
      select d.id from delivery d
        join account a on a.id = d.account_id
       where d.id in (select id from silent) and d.state = 'handed-out' and a.instance_id = ${instanceId}
         and not exists (select 1 from account_mark m where m.account_id = a.id and m.until > clock_timestamp())
       order by d.handed_out_at
         for share of a skip locked
         for update of d skip locked
    ), free as materialized (
      select number from delivery_permit
       where scope = 'suspects' and number > 0 and delivery_id is null
       order by number limit (select count(*) from fenced)
         for update skip locked
    ), matched as materialized (
      select f.id, s.number from (select id, row_number() over () as n from fenced) f
        join (select number, row_number() over (order by number) as n from free) s using (n)
    ), given as (
      update delivery_permit p set delivery_id = null, taken_at = null
        from matched m where p.delivery_id = m.id and p.scope <> 'suspects'
    ), taken as (
      update delivery_permit p set delivery_id = m.id, taken_at = clock_timestamp()
        from matched m where p.scope = 'suspects' and p.number = m.number
    )
    update delivery d set state = 'suspect' from matched m where d.id = m.id and d.state = 'handed-out'
    returning d.id`;
  return rows.map((row) => row.id);
}
