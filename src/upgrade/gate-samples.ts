/**
 * The figures that gates judge, from the instances' own samples. A sample counts for an account at the instance that it was
 * moved to, from the bucket on in which its move was settled (so that the traffic of the move itself is left out), and not
 * before the window that a resumed wave began with.
 */
import type { UpgradeId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import type { GateFigures, RequestSample } from './gate.ts';

/** Length of a bucket of `request_sample`. */
const bucketSeconds = 10;

export interface SampleScope {
  upgradeId: UpgradeId;
  /** One wave, or all. */
  wave: number | null;
  /** From when a move's accounts count: as soon as they are there, or once their deliveries are answered. */
  since: 'committed' | 'settled';
  baselineHours: number;
}

/** Samples of the moved accounts, of their past, of accounts not yet moved, and the upgrade's deliveries. */
export async function readGateFigures(q: Queryable, scope: SampleScope): Promise<GateFigures> {
  const [samples, deliveries] = await Promise.all([readSamples(q, scope), readDeliveries(q, scope)]);
  const of = (part: string): RequestSample => {
    const row = samples.find((candidate) => candidate.part === part);
    return row
      ? { requests: row.requests, errors: row.errors, latencyMsSum: row.latencyMsSum }
      : { requests: 0, errors: 0, latencyMsSum: 0 };
  };
  const unmoved = of('unmoved');
  return { moved: of('moved'), before: of('before'), unmoved: unmoved.requests === 0 ? null : unmoved, deliveries };
}

interface SampleRow extends RequestSample {
  part: string;
}

/**
 * Through account_move_batch, upgrade_assignment_wave and the primary key of request_sample. An account that was moved by
 * hand has no time of its move here, and so is not in the sample.
 */
async function readSamples(q: Queryable, scope: SampleScope): Promise<SampleRow[]> {
  return await q<SampleRow[]>`
    with moved as materialized (
      select distinct on (m.account_id, m.to_instance_id) m.account_id, m.to_instance_id, m.committed_at, m.settled_at
        from move_batch b join account_move m on m.batch_id = b.id
       where b.upgrade_id = ${scope.upgradeId} and m.committed_at is not null
       order by m.account_id, m.to_instance_id, m.committed_at desc
    ), assigned as materialized (
      select s.account_id, s.from_instance_id, s.to_instance_id, a.instance_id = s.to_instance_id as moved, s.wave_number,
             m.committed_at, coalesce(m.settled_at, w.soaking_at) as settled_at,
             greatest((w.gate->>'windowFrom')::timestamptz, w.started_at) as window_from
        from upgrade_assignment s
        join account a on a.id = s.account_id
        join upgrade_wave w on w.upgrade_id = s.upgrade_id and w.number = s.wave_number
        left join moved m on m.account_id = s.account_id and m.to_instance_id = s.to_instance_id
       where s.upgrade_id = ${scope.upgradeId}
    ), chosen as materialized (
      select c.*, greatest(case when ${scope.since} = 'committed' then c.committed_at else c.settled_at end, c.window_from)
                    - make_interval(secs => ${bucketSeconds}) as counts_from
        from assigned c where c.moved and (${scope.wave}::int is null or c.wave_number = ${scope.wave}::int)
    ), first as (select min(counts_from) as counts_from from chosen)
    select 'moved' as part, sum(r.requests)::float8 as requests, sum(r.errors)::float8 as errors,
           sum(r.latency_ms_sum)::float8 as "latencyMsSum"
      from chosen c join request_sample r
        on r.account_id = c.account_id and r.instance_id = c.to_instance_id and r.bucket > c.counts_from
    having count(*) > 0
    union all
    select 'before', sum(r.requests)::float8, sum(r.errors)::float8, sum(r.latency_ms_sum)::float8
      from chosen c join request_sample r
        on r.account_id = c.account_id and r.instance_id = c.from_instance_id and r.bucket < c.committed_at
       and r.bucket > c.committed_at - make_interval(secs => ${scope.baselineHours * 3600})
    having count(*) > 0
    union all
    select 'unmoved', sum(r.requests)::float8, sum(r.errors)::float8, sum(r.latency_ms_sum)::float8
      from assigned u cross join first f join request_sample r
        on r.account_id = u.account_id and r.instance_id = u.from_instance_id and r.bucket > f.counts_from
     where not u.moved
    having count(*) > 0`;
}

/** Deliveries of the upgrade's moves to the new release, in the window; through account_move_batch and delivery_move. */
async function readDeliveries(q: Queryable, scope: SampleScope): Promise<GateFigures['deliveries']> {
  const [row] = await q<GateFigures['deliveries'][]>`
    select count(*) filter (where d.state = 'done')::int as done,
           count(*) filter (where d.state = 'failed')::int as failed,
           count(*) filter (where d.state in ('owed', 'released', 'handed-out', 'suspect'))::int as open
      from move_batch b
      join account_move m on m.batch_id = b.id
      join delivery d on d.move_id = m.id
      left join upgrade_wave w on w.upgrade_id = b.upgrade_id and w.number = b.wave_number
     where b.upgrade_id = ${scope.upgradeId} and b.purpose = 'wave'
       and (${scope.wave}::int is null or b.wave_number = ${scope.wave}::int)
       and (d.settled_at is null or (w.gate->>'windowFrom') is null or d.settled_at > (w.gate->>'windowFrom')::timestamptz)`;
  return row ?? { done: 0, failed: 0, open: 0 };
}
