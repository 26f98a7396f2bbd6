/**
 * The figures that gates judge. An account's requests count at the instance that it was moved to: from the ten seconds
 * on that follow those in which its move was settled (so that the traffic of the move itself is left out), after the
 * warm-up of that instance, and not before the window that a resumed wave began.
 *
 * Routers measure nearest to the devices (`request_outcome`). Until one reports, the instances' own figures are used
 * (`request_sample`): for ten seconds of an account at most as many requests as it has devices, and one latency, their
 * mean.
 */
import type { UpgradeId } from '../../base/ids.ts';
import type { Queryable, SqlFragment } from '../../database/connection.ts';
import { readBudget } from '../../deliveries/budget.ts';
import { moveStates } from '../../states/move-states.ts';
import type { Absence, Replacement } from '../state/upgrade-plan.ts';
import { isMedianKnown } from './gate-comparisons.ts';
import { readDeliveries } from './gate-deliveries.ts';
import type { Baseline, GateFigures, Stretch } from './gate-figures.ts';
import { readInterruptions } from './gate-interruptions.ts';
import { GateMemory, type MovedAccounts, readPast } from './gate-past.ts';
import type { SampleScope } from './sample-scope.ts';

/** Length of a bucket of both tables; after some hours routers' figures are those of an hour. */
const bucketSeconds = 10;
const hourSeconds = 3600;
/** Whoever was away links again, and devices that were told to come later come back. */
const returnSeconds = 20;

/**
 * Figures of the moved accounts, of their past and of accounts not yet moved, and the outcome of the upgrade's
 * deliveries.
 */
export async function readGateFigures(
  q: Queryable,
  scope: SampleScope,
  memory: GateMemory = new GateMemory(),
): Promise<GateFigures> {
  const [source, { suspectAfterSeconds }] = await Promise.all([sourceOf(q), readBudget(q)]);
  const [rows, deliveries, interruptions] = await Promise.all([
    readSamples(q, scope, source === 'routers' ? outcomes : ownSamples, suspectAfterSeconds),
    readDeliveries(q, scope, suspectAfterSeconds),
    readInterruptions(q, scope),
  ]);
  const partOf = (part: string) => rows.filter((row) => row.part === part);
  const one = (part: string) => partOf(part)[0] ?? { requests: 0, failed: 0 };
  const unmoved = baselineOf(partOf('unmoved'));
  const moved = partOf('moved accounts').map(({ detail }) => detail as MovedAccounts);
  const heard = partOf('accounts')[0]?.detail as HeardAccounts;
  const past = async (of: GateFigures['source']) => {
    const key = `${scope.upgradeId} ${scope.wave} ${of}`;
    const samples = of === 'routers' ? outcomes(q) : ownSamples(q);
    return await readPast(q, samples, moved, scope.baselineHours, memory.of(key));
  };
  const pasts = { before: await past(source), unmoved: unmoved.requests === 0 ? null : unmoved };
  const isTold = source === 'routers' && scope.since === 'settled' && !isMedianKnown(pasts);
  return {
    source,
    moved: stretchesOf(partOf('moved')),
    ...heard,
    ...pasts,
    beforeByInstances: isTold ? (await past('instances')).latency : [],
    ...deliveries,
    interruptions,
    leftOut: { requests: one('left-out').requests, warmUpSeconds: scope.warmUpSeconds },
    seconds: one('window').requests,
  };
}

/** Accounts that were not seen since their move, nor connected before it, are away: nothing waits for these. */
type HeardAccounts = Pick<GateFigures, 'accounts' | 'busiest'>;

const maxNamesShown = 5;
/** However many accounts have moved, so many are read at a time. */
const accountsAtOnce = 1000;

/** Routers as soon as one reports. By request_outcome_bucket. */
async function sourceOf(q: Queryable): Promise<GateFigures['source']> {
  const [row] = await q`
    select 1 from request_outcome where seconds = ${bucketSeconds} and bucket > now() - interval '15 minutes' limit 1`;
  return row === undefined ? 'instances' : 'routers';
}

/** Samples, with a condition on their `account_id`, `instance_id` and `bucket`, or all. */
type Samples = (q: Queryable, which?: SqlFragment) => SqlFragment;

/** Rows of both lengths, for request_outcome_bucket. */
const outcomes: Samples = (q, which = q`true`) => q`
    select account_id, instance_id, bucket, requests, failed, latency from request_outcome
     where seconds in (${bucketSeconds}, ${hourSeconds}) and ${which}`;

const ownSamples: Samples = (q, which = q`true`) => q`
    select r.account_id, r.instance_id, r.bucket, n.requests,
           ceil(r.errors * n.requests / r.requests::float8)::int as failed,
           case when r.requests > r.errors
                then array_fill(0, array[least(30, floor(2 * log(2, greatest(1, r.latency_ms_sum / r.requests)::numeric)))::int]) || 1
                else '{}'::int[] end as latency
      from request_sample r cross join lateral (
        select least(r.requests, greatest(1, (select count(*) from device d
                                               where d.account_id = r.account_id and (d.state = 'active') is true)))::int as requests offset 0) n
     where r.requests > 0 and ${which}`;

/** Counts of one stretch; with `bin`, how many requests fell into that bin. */
interface SampleRow {
  part: string;
  stretch: number;
  bin: number | null;
  requests: number;
  failed: number;
  /** {@link MovedAccounts} or {@link HeardAccounts}. */
  detail: unknown;
}

/**
 * By account_move_batch and upgrade_assignment_wave, so that a small wave costs little in a large domain; then account by account
 * (`lateral … offset 0`, so that a planner without statistics multiplies nothing) by account_move_account, delivery_move,
 * device_account and the primary keys of the samples. Of those not moved, who may be all others, only what was asked in the window
 * is looked at, by the time of the samples. The time of a manual move is not known here: such an account counts while the wave is
 * observed. An account with an unsettled move (a device is out of reach, or silent) counts from its last answer, and not before
 * its unanswered devices count as silent: until then its requests may belong to the move.
 */
async function readSamples(
  q: Queryable,
  scope: SampleScope,
  samples: Samples,
  silentAfterSeconds: number,
): Promise<SampleRow[]> {
  const { upgradeId, wave, since } = scope;
  const warmUp = since === 'settled' ? scope.warmUpSeconds : 0;
  // Without a warm-up the first ten seconds count too; not in place: the replaced process had a part in them.
  const early = scope.replacements === null ? bucketSeconds - Math.min(bucketSeconds, warmUp) : 0;
  // A window of hours needs no stretches of ten seconds.
  const stretchSeconds = wave === null ? 60 * bucketSeconds : bucketSeconds;
  return await q<SampleRow[]>`
    with first_move as materialized (
      select m.to_instance_id, min(m.committed_at) as at
        from move_batch b join account_move m on m.batch_id = b.id
       where b.upgrade_id = ${upgradeId} and ${moveStates.in(q, 'committed', 'm')}
       group by 1
    ), moved as materialized (${scope.replacements === null ? movedAccounts(q, scope, silentAfterSeconds) : replacedAccounts(q, scope, scope.replacements)}
    ), chosen as materialized (
      select c.*, greatest(case when ${since} = 'committed' then c.committed_at else c.settled_at end, c.window_from,
                           c.first_at + make_interval(secs => ${warmUp})) - make_interval(secs => ${early}) as counts_from
        from moved c
    ), first as materialized (select min(counts_from) as counts_from from chosen),
    absence as materialized (${absentInstances(q, scope.absences ?? [])}
    ), now_at as materialized (
      select c.account_id, r.bucket, r.requests, r.failed, r.latency,
             r.bucket > c.counts_from and (
               select count(*) from absence x
                where x.instance_id = c.to_instance_id and r.bucket > x.since - make_interval(secs => ${bucketSeconds})
                  and r.bucket < x.until + make_interval(secs => ${returnSeconds})) = 0 as counts
        from chosen c cross join lateral (
          select o.bucket, o.requests, o.failed, o.latency from (${samples(q)}) o
           where o.account_id = c.account_id and o.instance_id = c.to_instance_id
             and o.bucket > greatest(c.committed_at, c.window_from) - make_interval(secs => ${bucketSeconds}) offset 0) r
    ), counted as materialized (
      select *, extract(epoch from date_bin(make_interval(secs => ${stretchSeconds}), bucket, 'epoch'))::float8 as stretch
        from now_at where counts
    ), accounts as materialized (
      select u.*, u.requests > 0 or (
               select count(*) from device v where v.account_id = u.account_id and (v.state = 'active') is true
                  and v.last_seen_at > u.known_at - make_interval(secs => ${scope.baselineHours * 3600})) > 0 as present
        from (select account_id, sum(requests)::float8 as requests, sum(failed)::float8 as failed, max(name) as name,
                     max(from_id) as from_id, max(committed_at) as committed_at, max(known_at) as known_at
                from (select n.account_id, n.requests, n.failed, null as name, null as from_id,
                             null::timestamptz as committed_at, null::timestamptz as known_at
                        from counted n
                      union all
                      select c.account_id, 0, 0, c.name, c.from_instance_id::text, c.committed_at,
                             coalesce(c.committed_at, c.window_from)
                        from chosen c) u
               group by 1 offset 0) u
    ), unmoved as materialized (
      select r.requests, r.failed, r.latency
        from first f cross join lateral (${samples(q, q`bucket > f.counts_from`)} offset 0) r
       cross join lateral (${scope.replacements === null ? notMoved(q, scope.upgradeId) : notReplaced(q, scope.replacements)} offset 0) u
    ), bins as (
      select 'moved' as part, c.stretch, b.bin, b.requests from counted c, unnest(c.latency) with ordinality as b(requests, bin)
      union all
      select 'unmoved', 0, b.bin, b.requests from unmoved u, unnest(u.latency) with ordinality as b(requests, bin)
    )
    select 'moved' as part, stretch, null::int as bin, sum(requests)::float8 as requests, sum(failed)::float8 as failed,
           null::jsonb as detail
      from counted group by stretch
    union all
    select part, stretch, bin::int - 1, sum(requests)::float8, 0, null from bins
     where requests > 0 and ${since} = 'settled' group by part, stretch, bin
    union all
    select 'accounts', 0, null, 0, 0, jsonb_build_object(
             'accounts', jsonb_build_object(
               'all', count(*) filter (where present), 'heard', count(*) filter (where requests > 0),
               'away', count(*) filter (where not present), 'unheard', array(
                 select name from accounts where requests = 0 and present order by name collate "C" limit ${maxNamesShown})),
             'busiest', coalesce((
               select jsonb_build_object('name', b.name, 'requests', b.requests, 'failed', b.failed) from accounts b
                where b.requests > 0 order by b.requests desc, b.failed limit 1), '{"name": "", "requests": 0, "failed": 0}'))
      from accounts
    union all
    select 'moved accounts', 0, null, 0, 0, jsonb_build_object(
             'ids', array_agg(account_id), 'fromInstanceIds', array_agg(from_id),
             'committedAt', array_agg(extract(epoch from committed_at)::float8), 'requests', array_agg(requests))
      from (select *, row_number() over () / ${accountsAtOnce} as place from accounts) a group by place
    union all
    select 'left-out', 0, null, coalesce(sum(requests) filter (where not counts), 0), 0, null from now_at
    union all
    select 'window', 0, null, greatest(0, coalesce(extract(epoch from clock_timestamp() - counts_from), 0)), 0, null from first
    union all
    select 'unmoved', 0, null, sum(requests), sum(failed), null from unmoved having count(*) > 0
     order by part, stretch, bin nulls first`;
}

/** When each of these instances was away. */
function absentInstances(q: Queryable, absences: readonly Absence[]): SqlFragment {
  return q`
      select i.id as instance_id, x.since, x.until
        from unnest(${absences.map(({ name }) => name)}::text[], ${absences.map(({ since }) => since)}::timestamptz[],
                    ${absences.map(({ until }) => until)}::timestamptz[]) as x(name, since, until)
        join instance i on i.name = x.name`;
}

/** Accounts of the wave that are where they are to go, and from when on their requests count. */
function movedAccounts(q: Queryable, { upgradeId, wave }: SampleScope, silentAfterSeconds: number): SqlFragment {
  return q`
      select s.account_id, s.from_instance_id, s.to_instance_id, m.committed_at, f.at as first_at, a.name,
             coalesce(m.settled_at, greatest(w.soaking_at, m.committed_at + make_interval(secs => ${silentAfterSeconds}),
               (select max(d.settled_at) from delivery d where d.move_id = m.id))) as settled_at,
             greatest((w.gate->>'windowFrom')::timestamptz, w.started_at) as window_from
        from upgrade_assignment s
       cross join lateral (
         select n.name from account n where n.id = s.account_id and n.instance_id = s.to_instance_id offset 0) a
        join upgrade_wave w on w.upgrade_id = s.upgrade_id and w.number = s.wave_number
        left join lateral (
          select n.id, n.committed_at, n.settled_at from account_move n
           where n.account_id = s.account_id and n.to_instance_id = s.to_instance_id and n.committed_at is not null
             and (select b.upgrade_id from move_batch b where b.id = n.batch_id) = s.upgrade_id
           order by n.account_id, n.committed_at desc limit 1) m on true
        left join first_move f on f.to_instance_id = s.to_instance_id
       where s.upgrade_id = ${upgradeId} ${wave === null ? q`` : q`and s.wave_number = ${wave}`}`;
}

/** Whether a sample `r` is of an account of any wave that is not where it is to go. */
function notMoved(q: Queryable, upgradeId: UpgradeId): SqlFragment {
  return q`
      select from upgrade_assignment s
       where s.upgrade_id = ${upgradeId} and s.account_id = r.account_id and s.from_instance_id = r.instance_id
         and (select n.instance_id from account n where n.id = r.account_id) <> s.to_instance_id`;
}

/**
 * In place nothing moves: an account counts as moved since the replacement of its instance began, and its past ends
 * there. Once the instance is at work, its move counts as settled.
 */
function replacedAccounts(
  q: Queryable,
  { upgradeId, wave }: SampleScope,
  replacements: readonly Replacement[],
): SqlFragment {
  const begun = replacements.filter((each) => each.beganAt !== undefined && each.wave === (wave ?? each.wave));
  return q`
      select a.id as account_id, a.instance_id as from_instance_id, a.instance_id as to_instance_id,
             r.began_at as committed_at, r.at_work_at as first_at, a.name,
             coalesce(r.at_work_at, clock_timestamp()) as settled_at,
             greatest((w.gate->>'windowFrom')::timestamptz, w.started_at) as window_from
        from unnest(${begun.map(({ instanceId }) => instanceId)}::uuid[], ${begun.map((each) => each.wave)}::int[],
                    ${begun.map(({ beganAt }) => beganAt ?? null)}::timestamptz[],
                    ${begun.map(({ atWorkAt }) => atWorkAt ?? null)}::timestamptz[])
               as r(instance_id, wave, began_at, at_work_at)
        join upgrade_wave w on w.upgrade_id = ${upgradeId} and w.number = r.wave
        join account a on a.instance_id = r.instance_id`;
}

/** Whether a sample `r` is of an account at an instance whose replacement has not begun. */
function notReplaced(q: Queryable, replacements: readonly Replacement[]): SqlFragment {
  const standing = replacements.filter(({ beganAt }) => beganAt === undefined).map(({ instanceId }) => instanceId);
  return q`
      select where r.instance_id = any(${standing}::uuid[])
               and (select n.instance_id from account n where n.id = r.account_id) = r.instance_id`;
}

/** Rows arrive stretch by stretch, the one without a bin first. */
function stretchesOf(rows: readonly SampleRow[]): Stretch[] {
  const stretches = new Map<number, SampleRow[]>();
  for (const row of rows) stretches.set(row.stretch, [...(stretches.get(row.stretch) ?? []), row]);
  return [...stretches.values()].map(baselineOf);
}

function baselineOf(rows: readonly SampleRow[]): Baseline {
  const total = rows.find((row) => row.bin === null);
  const bins = rows.filter((row) => row.bin !== null);
  const latency = Array.from({ length: Math.max(0, ...bins.map((row) => (row.bin ?? 0) + 1)) }, () => 0);
  for (const { bin, requests } of bins) latency[bin ?? 0] = requests;
  return { requests: total?.requests ?? 0, failed: total?.failed ?? 0, latency };
}
