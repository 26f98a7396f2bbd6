/**
 * The outcome of the deliveries of an upgrade's moves, by device. A device that took one and does not answer is
 * *silent*, whatever the state of its delivery by now: one that was taken back has not been answered either. A device
 * that was handed nothing is judged by whether it connected: if it did not connect before either, that is not the
 * release's fault.
 *
 * Refusals before the window do not count, but all successes do, so that never only silent devices are left to compare.
 * After the waves, devices that fell silent before the window are known and do not count either.
 */
import type { Queryable, SqlFragment } from '../../database/connection.ts';
import { deliveryStates } from '../../states/delivery-states.ts';
import type { GateFigures } from './gate-figures.ts';
import type { SampleScope } from './sample-scope.ts';

type Deliveries = Pick<GateFigures, 'deliveries' | 'usuallyMissing'>;

/** `silentAfterSeconds` is the budget's. By account_move_batch, delivery_move and command_delivery. */
export async function readDeliveries(
  q: Queryable,
  scope: Pick<SampleScope, 'upgradeId' | 'wave'>,
  silentAfterSeconds: number,
): Promise<Deliveries> {
  const [row] = await q<(GateFigures['deliveries'] & { since: Date | null })[]>`
    with owed as (
      select d.device_id, ${deliveryStates.in(q, 'open', 'd')} as open, d.state = 'failed' as failed,
             d.handed_out_at < clock_timestamp() - make_interval(secs => ${silentAfterSeconds}) as old,
             (select count(*) from command c where c.delivery_id = d.id and (c.state = 'not-now') is true) > 0 as not_now,
             greatest(m.committed_at, (w.gate->>'windowFrom')::timestamptz) as since
        from move_batch b
        join account_move m on m.batch_id = b.id
       cross join lateral (
          select e.id, e.device_id, e.state, e.handed_out_at, e.settled_at from delivery e
           where e.move_id = m.id and e.state <> 'superseded' offset 0) d
        left join upgrade_wave w on w.upgrade_id = b.upgrade_id and w.number = b.wave_number
       where b.upgrade_id = ${scope.upgradeId} and b.purpose = 'wave'
         and (${scope.wave}::int is null or b.wave_number = ${scope.wave}::int)
         and ((w.gate->>'windowFrom') is null or d.state = 'done'
              or coalesce(d.settled_at, case when ${scope.wave}::int is null then d.handed_out_at end, 'infinity')
                 > (w.gate->>'windowFrom')::timestamptz)
    ), devices as (
      select o.device_id, min(o.since) as since, bool_or(o.failed) as failed, bool_or(o.open) as open,
             bool_or(o.open and o.old and not o.not_now) as silent, bool_or(o.open and o.not_now) as not_now
        from owed o group by 1
    ), known as (
      select d.since,
             case when d.failed then 'failed' when d.silent then 'silent' when not d.open then 'done'
                  when d.not_now or v.state <> 'active' then 'excused'
                  when v.last_seen_at > d.since then 'open'
                  when ${cameBefore(q, q`d.since`)} then 'missing' else 'excused' end as what
        from devices d
       cross join lateral (select n.state, n.last_seen_at from device n where n.id = d.device_id offset 0) v)
    select count(*) filter (where what = 'done')::int as done, count(*) filter (where what = 'failed')::int as failed,
           count(*) filter (where what = 'silent')::int as silent, count(*) filter (where what = 'open')::int as open,
           count(*) filter (where what = 'missing')::int as missing, count(*) filter (where what = 'excused')::int as excused,
           min(since) as since
      from known`;
  const { since, ...deliveries } = row ?? noDeliveries;
  // Goes through all devices that have not moved: read only if some that have moved are missing.
  const unmoved = since === null || deliveries.missing === 0 ? none : await readUsuallyMissing(q, scope, since);
  return { deliveries, usuallyMissing: unmoved };
}

const noDeliveries = { done: 0, failed: 0, silent: 0, open: 0, missing: 0, excused: 0, since: null };
const none = { requests: 0, bad: 0 };

/** Whether the device connected before `since`, within a time as long as has passed since. */
function cameBefore(q: Queryable, since: SqlFragment): SqlFragment {
  return q`v.last_seen_at > ${since} - (clock_timestamp() - ${since})`;
}

async function readUsuallyMissing(
  q: Queryable,
  { upgradeId }: Pick<SampleScope, 'upgradeId'>,
  since: Date,
): Promise<Deliveries['usuallyMissing']> {
  const [row] = await q<Deliveries['usuallyMissing'][]>`
    select count(*)::int as requests, (count(*) filter (where v.last_seen_at <= ${since}))::int as bad
      from upgrade_assignment s
     cross join lateral (
        select from account n where n.id = s.account_id and n.instance_id <> s.to_instance_id offset 0) a
     cross join lateral (
        select v.last_seen_at from device v
         where v.account_id = s.account_id and (v.state = 'active') is true and ${cameBefore(q, q`${since}::timestamptz`)}
        offset 0) v
     where s.upgrade_id = ${upgradeId}`;
  return row ?? none;
}
