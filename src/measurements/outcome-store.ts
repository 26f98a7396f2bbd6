/**
 * Stores the request outcomes that routers report: each report once, whichever instance receives it, and by account.
 *
 * Invariant: a report's counts and the note that it was counted are one transaction under the lock of its run's row, so
 * that an instance that dies, or is slow to acknowledge, neither loses a report nor causes it to be counted twice.
 */
import { addLatency } from '../base/latency-histogram.ts';
import type { Database, Queryable, Transaction } from '../database/connection.ts';
import type { OutcomeReport } from '../link/messages.ts';

/** Shorter than a router waits for the acknowledgement: a report that was not counted soon goes to another instance. */
const countWithinMs = 4000;

/** @param routerKey SHA-256 of the key that the router proved over the link, hex. */
export async function countOutcomes(
  db: Database,
  report: OutcomeReport,
  routerKey: string,
): Promise<'counted' | 'counted-before'> {
  return await db.begin(async (tx) => {
    await tx`select set_config('statement_timeout', ${String(countWithinMs)}, true)`;
    if (!(await takeTurn(tx, report, routerKey))) return 'counted-before';
    const whose = await whoseTokens(tx, report.outcomes);
    const counts = countsByAccount(report.outcomes, whose, await instanceIds(tx));
    await insertCounts(tx, report, counts);
    return 'counted';
  });
}

/**
 * False for a report already counted, or overtaken by a later one of its run. Waits for a concurrent one by the primary
 * key.
 */
async function takeTurn(tx: Transaction, { run, sequence }: OutcomeReport, routerKey: string): Promise<boolean> {
  const { count } = await tx`
    insert into outcome_report (router_key, run, sequence) values (${routerKey}, ${run}, ${sequence})
    on conflict (router_key, run) do update set sequence = excluded.sequence, counted_at = now()
     where outcome_report.sequence < excluded.sequence`;
  return count === 1;
}

interface Whose {
  token: string;
  accountId: string;
  /** The account's current one. */
  instanceId: string;
}

/** Through the unique token; tokens without a device (any more) are left out. */
async function whoseTokens(tx: Transaction, outcomes: OutcomeReport['outcomes']): Promise<Map<string, Whose>> {
  const rows = await tx<Whose[]>`
    select d.token, d.account_id as "accountId", a.instance_id as "instanceId"
      from device d join account a on a.id = d.account_id
     where d.token = any(${outcomes.map(({ token }) => token)}::text[])`;
  return new Map(rows.map((row) => [row.token, row]));
}

/** By SRP identifier. */
async function instanceIds(tx: Transaction): Promise<Map<string, string>> {
  const rows = await tx<{ id: string; identifier: string }[]>`select id, srp_identifier as identifier from instance`;
  return new Map(rows.map(({ id, identifier }) => [identifier, id]));
}

interface Counts {
  account_id: string;
  instance_id: string;
  requests: number;
  failed: number;
  latency: number[];
}

/** If the intended instance is unknown, it is the one that has the account. */
function countsByAccount(
  outcomes: OutcomeReport['outcomes'],
  whose: ReadonlyMap<string, Whose>,
  instances: ReadonlyMap<string, string>,
): Counts[] {
  const counts = new Map<string, Counts>();
  for (const { token, identifier, failed, latencyMs } of outcomes) {
    const row = whose.get(token);
    if (row === undefined) continue;
    const instanceId = (identifier === null ? undefined : instances.get(identifier)) ?? row.instanceId;
    const key = `${row.accountId} ${instanceId}`;
    const each = counts.get(key) ?? {
      ...{ account_id: row.accountId, instance_id: instanceId, requests: 0, failed: 0, latency: [] },
    };
    each.requests += 1;
    if (failed) each.failed += 1;
    else addLatency(each.latency, latencyMs);
    counts.set(key, each);
  }
  return [...counts.values()];
}

/**
 * Into the ten seconds in which it began, by the database's clock. In primary key order, like all writers of this
 * table.
 */
async function insertCounts(tx: Transaction, report: OutcomeReport, counts: readonly Counts[]): Promise<void> {
  if (counts.length === 0) return;
  await tx`
    insert into request_outcome (account_id, instance_id, bucket, router, requests, failed, latency)
    select c.account_id, c.instance_id, date_bin('10 seconds', now() - make_interval(secs => ${report.agoMs / 1000}), 'epoch'),
           ${report.router}, c.requests, c.failed, c.latency
      from jsonb_to_recordset(${tx.json(counts as never)})
             as c(account_id uuid, instance_id uuid, requests int, failed int, latency int[])
     order by c.account_id, c.instance_id
    on conflict (account_id, bucket, instance_id, seconds, router) do update
       set requests = request_outcome.requests + excluded.requests, failed = request_outcome.failed + excluded.failed,
           latency = histogram_add(request_outcome.latency, excluded.latency)`;
}

/**
 * Aggregates up to `limit` ten-second rows older than `afterHours` into hourly rows; returns how many. Through
 * request_outcome_bucket; rows that another instance is processing are left to it.
 */
export async function gatherIntoHours(q: Queryable, afterHours: number, limit: number): Promise<number> {
  const [row] = await q<{ count: number }[]>`
    with old as (
      delete from request_outcome o where o.ctid = any(array(
        select ctid from request_outcome
         where seconds = 10 and bucket < date_bin('1 hour', now() - make_interval(hours => ${afterHours}), 'epoch')
         order by seconds, bucket limit ${limit} for update skip locked))
      returning o.account_id, o.instance_id, o.bucket, o.requests, o.failed, o.latency
    ), hours as (
      insert into request_outcome (account_id, instance_id, bucket, seconds, router, requests, failed, latency)
      select account_id, instance_id, date_bin('1 hour', bucket, 'epoch'), 3600, '', sum(requests), sum(failed),
             histogram_sum(latency)
        from old group by 1, 2, 3 order by 1, 3, 2
      on conflict (account_id, bucket, instance_id, seconds, router) do update
         set requests = request_outcome.requests + excluded.requests, failed = request_outcome.failed + excluded.failed,
             latency = histogram_add(request_outcome.latency, excluded.latency)
    )
    select count(*)::int as count from old`;
  return row?.count ?? 0;
}
