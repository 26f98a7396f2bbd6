/**
 * What the domain, its instances and its routers did in each minute of the last 30 days.
 *
 * Invariant: a minute can be computed again at any time, as long as what it comes from is kept; so whoever dies in the middle
 * leaves nothing wrong behind, and what a fence held up is made up for.
 */
import { latencyBins, quantileMs } from '../base/latency-histogram.ts';
import type { Queryable } from '../database/connection.ts';

/** Routers tell what happened within ten minutes, of which rows of ten seconds are kept for six hours. */
const sourceHours = 6;
const keptDays = 30;

/** How it stands at this moment; null where the subject has none of it. */
export interface Level {
  readonly subject: string;
  readonly waiting: number | null;
  readonly inFlight: number | null;
  readonly suspects: number | null;
  readonly budget: number | null;
}

/** The last minute that there are figures of, and what it is by the database's clock. Primary key. */
export async function readFigureState(q: Queryable): Promise<{ last: Date | null; now: Date }> {
  const [row] = await q<{ last: Date | null; now: Date }[]>`
    select (select max(minute) from figure_minute) as last, now() as now`;
  if (row === undefined) throw new TypeError('no row of a query without a table');
  return row;
}

/**
 * Counts the minutes that begin in [from, to) again, through the indexes by bucket; returns how many rows. One hour at a time at most.
 * Each minute gets a row of the domain, also one in which nothing happened.
 */
export async function countMinutes(q: Queryable, from: Date, to: Date): Promise<number> {
  const { count } = await q`
    with sample as (
      select date_trunc('minute', s.bucket) as minute, 'instance:' || i.name as subject, sum(s.requests) as connects, sum(s.errors) as errors
        from request_sample s join instance i on i.id = s.instance_id
       where s.bucket >= ${from} and s.bucket < ${to} group by 1, 2
    ), outcome as (
      select date_trunc('minute', o.bucket) as minute, o.instance_id, o.router, o.requests, o.failed, o.latency
        from request_outcome o where o.seconds = 10 and o.bucket >= ${from} and o.bucket < ${to}
    ), told as (
      select o.minute, 'instance:' || i.name as subject, o.requests, o.failed, o.latency
        from outcome o join instance i on i.id = o.instance_id
      union all select minute, 'router:' || router, requests, failed, latency from outcome
      union all select minute, 'domain', requests, failed, latency from outcome
    ), bins as (
      select minute, subject, bin, sum(n) as n
        from told, unnest(latency) with ordinality l(n, bin) group by minute, subject, bin
    ), histogram as (
      select b.minute, b.subject, array_agg(coalesce(h.n, 0) order by g.bin)::bigint[] as latency
        from (select minute, subject, max(bin) as bins from bins group by minute, subject) b
       cross join lateral generate_series(1, b.bins) g(bin)
        left join bins h on h.minute = b.minute and h.subject = b.subject and h.bin = g.bin
       group by b.minute, b.subject
    ), figures as (
      select minute, subject, connects, errors, null::bigint as requests, null::bigint as failed from sample
      union all select minute, 'domain', sum(connects), sum(errors), null, null from sample group by minute
      union all select minute, subject, null, null, sum(requests), sum(failed) from told group by minute, subject
      union all select m, 'domain', 0, 0, 0, 0
        from generate_series(date_trunc('minute', ${from}::timestamptz), ${to}::timestamptz - interval '1 second', interval '1 minute') m
    )
    insert into figure_minute (minute, subject, connects, errors, requests, failed, latency)
    select f.minute, f.subject, sum(f.connects), sum(f.errors), sum(f.requests), sum(f.failed),
           (select h.latency from histogram h where h.minute = f.minute and h.subject = f.subject)
      from figures f group by f.minute, f.subject order by f.minute, f.subject
    on conflict (minute, subject) do update
       set connects = excluded.connects, errors = excluded.errors, requests = excluded.requests, failed = excluded.failed,
           latency = excluded.latency`;
  return count;
}

/** How it stands at the end of a minute. */
export async function noteLevels(q: Queryable, minute: Date, levels: readonly Level[]): Promise<void> {
  await q`
    insert into figure_minute (minute, subject, waiting, in_flight, suspects, budget)
    select ${minute}, l.subject, l.waiting, l.in_flight, l.suspects, l.budget
      from unnest(${levels.map((level) => level.subject)}::text[], ${levels.map((level) => level.waiting)}::int[],
                  ${levels.map((level) => level.inFlight)}::int[], ${levels.map((level) => level.suspects)}::int[],
                  ${levels.map((level) => level.budget)}::int[]) as l(subject, waiting, in_flight, suspects, budget)
     order by l.subject
    on conflict (minute, subject) do update
       set waiting = excluded.waiting, in_flight = excluded.in_flight, suspects = excluded.suspects, budget = excluded.budget`;
}

/** Those that are old, at most `limit`; primary key. */
export async function removeFigures(q: Queryable, limit: number): Promise<number> {
  const { count } = await q`
    delete from figure_minute where ctid = any(array(
      select ctid from figure_minute where minute < now() - make_interval(days => ${keptDays}) order by minute limit ${limit}))`;
  return count;
}

/** Where counting begins: nothing is left out that can be counted still. */
export function firstToCount({ last, now }: { last: Date | null; now: Date }): Date {
  const oldest = now.getTime() - sourceHours * 3_600_000 + 60_000;
  return startOfMinute(Math.max(oldest, last === null ? 0 : last.getTime()));
}

export function startOfMinute(atMs: number): Date {
  return new Date(Math.floor(atMs / 60_000) * 60_000);
}

interface FigurePoint {
  at: Date;
  connects: number | null;
  errors: number | null;
  requests: number | null;
  failed: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  waiting: number | null;
  inFlight: number | null;
  suspects: number | null;
  budget: number | null;
}

type PointRow = Omit<FigurePoint, 'p50Ms' | 'p95Ms' | 'p99Ms'> & { subject: string; latency: number[] | null };

/** Bin by bin: a row for each bin of each minute would be a hundred times as many. */
const sumsOfBins = Array.from(
  { length: latencyBins },
  (_, bin) => `coalesce(sum(f.latency[${bin + 1}]), 0)::float8`,
).join(', ');

/** Sums of what was counted in each `stepMinutes` from `from` on, and the most of what stood; by subject. Primary key. */
export async function readFigures(
  q: Queryable,
  { from, to, stepMinutes, subjects }: { from: Date; to: Date; stepMinutes: number; subjects: readonly string[] },
): Promise<Map<string, FigurePoint[]>> {
  const rows = await q<PointRow[]>`
    select date_bin(make_interval(mins => ${stepMinutes}), f.minute, ${from}) as at, f.subject, sum(f.connects)::float8 as connects,
           sum(f.errors)::float8 as errors, sum(f.requests)::float8 as requests, sum(f.failed)::float8 as failed,
           max(f.waiting) as waiting, max(f.in_flight) as "inFlight", max(f.suspects) as suspects, max(f.budget) as budget,
           case when count(f.latency) > 0 then array[${q.unsafe(sumsOfBins)}] end as latency
      from figure_minute f
     where f.minute >= ${from} and f.minute < ${to} and f.subject = any(${subjects as string[]})
     group by 1, 2 order by 2, 1`;
  const points = new Map(subjects.map((subject): [string, FigurePoint[]] => [subject, []]));
  for (const { subject, latency, ...row } of rows) {
    const quantile = (share: number) => (latency === null ? null : quantileMs(latency, share));
    points.get(subject)?.push({ ...row, p50Ms: quantile(0.5), p95Ms: quantile(0.95), p99Ms: quantile(0.99) });
  }
  return points;
}

/** Who there are figures of since a time, the domain first. */
export async function listSubjects(q: Queryable, since: Date): Promise<string[]> {
  const rows = await q<{ subject: string }[]>`
    select distinct subject from figure_minute where minute >= ${since} order by subject`;
  const names = rows.map(({ subject }) => subject).filter((subject) => subject !== 'domain');
  return ['domain', ...names];
}
