/**
 * `bench move`: all accounts of a domain are moved from one instance to the other and back, while some of them are probed
 * in a closed loop; then a bulk of accounts whose devices do not come. The first goes as fast as devices take their
 * deliveries, within the usual slots; the second is what the machinery can do, under a budget that holds nothing back.
 *
 * The probed devices live in a process of their own: in one with the others, whose signatures and profiles keep it busy,
 * it would be the simulator that is late.
 *
 * An account's unavailability is the longest time without a success around its move, less the usual time between two
 * (design: upgrade.md). The same is computed for a window of the same length shortly before any account is moved: what a
 * loaded machine alone does to the figure.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../src/base/test-condition.ts';
import type { RunningDomain } from '../test/harness/domain.ts';
import { type RunningFleet, startFleet } from '../test/harness/fleet.ts';
import { setBudget, untilNothingIsOwed, usualSlots, wideBudget, withMeasuredDomain } from './measured-domain.ts';
import { median } from './median.ts';
import { type Distribution, type MovedAccount, measureMoves, type ProbedMove } from './move-unavailability.ts';

export interface MoveBenchOptions {
  /** Of an account each; not probed. */
  devices: number;
  /** Further ones, which are probed. */
  probed: number;
  /** How often all accounts are moved. */
  runs: number;
  /** Further accounts, with a device each that never comes. */
  bulk: number;
  say: (text: string) => void;
}

export interface MoveFigures {
  accounts: number;
  runs: number;
  /** Of each run, from the first fence to the last commit. */
  accountsPerSecond: number[];
  accountsPerSecondMedian: number;
  probedMoves: ProbedMove[];
  /** Of the accounts that were probed. */
  unavailability: Distribution;
  /** The same without a move. */
  still: Distribution;
  /** From the account's mark to the commit, all accounts. */
  fenced: Distribution;
  bulk: { accounts: number; accountsPerSecond: number };
}

const probedPrefix = 'probed-';
const probeBeforeMs = 1500;
const probeAfterMs = 500;

export async function benchMove(options: MoveBenchOptions): Promise<MoveFigures> {
  const { devices, probed, say } = options;
  return await withMeasuredDomain({ instances: 2, devices, accounts: devices }, say, async ({ domain, folder }) => {
    const fleet = await startProbedFleet(domain, probed, join(folder, 'probed.ndjson'));
    try {
      const instances = await domain.sql<{ name: string }[]>`select name from instance order by name`;
      let [here, there] = instances.map(({ name }) => name) as [string, string];
      await finished(domain, await startMoves(domain, there, here));
      await untilNothingIsOwed(domain);
      await setBudget(domain, usualSlots);
      const moved: MovedAccount[] = [];
      const accountsPerSecond: number[] = [];
      for (let run = 0; run < options.runs; run++) {
        const batch = await runOnce(domain, fleet, here, there);
        moved.push(...batch);
        accountsPerSecond.push(rateOf(batch));
        say(`  run ${run + 1}: ${batch.length} accounts, ${accountsPerSecond.at(-1)}/s`);
        [here, there] = [there, here];
      }
      await fleet.tell({ do: 'stats' });
      const figures = await measureMoves(fleet.journal, moved);
      await setBudget(domain, wideBudget);
      const bulk = await moveBulk(domain, options.bulk, here, there);
      return {
        accounts: devices + probed,
        runs: options.runs,
        accountsPerSecond,
        accountsPerSecondMedian: median(accountsPerSecond),
        ...figures,
        bulk,
      };
    } finally {
      await fleet.stop();
    }
  });
}

/** Pushes go on to the push service of the first fleet: probed devices come without. */
async function startProbedFleet(domain: RunningDomain, devices: number, journal: string): Promise<RunningFleet> {
  const push = await domain.sql`select value from setting where key = 'push'`;
  const args = ['--prefix', probedPrefix];
  const fleet = await startFleet(domain, { devices, accounts: devices, seed: 'probed', interval: '1s', journal, args });
  await domain.sql`update setting set value = ${domain.sql.json(push[0]?.['value'])} where key = 'push'`;
  await untilNothingIsOwed(domain);
  return fleet;
}

async function runOnce(domain: RunningDomain, fleet: RunningFleet, from: string, to: string): Promise<MovedAccount[]> {
  const names = await domain.sql<{ name: string }[]>`select name from account order by name`;
  const accounts = names.map(({ name }) => name).filter((name) => name.startsWith(probedPrefix));
  await fleet.tell({ do: 'probe', accounts });
  await delay(probeBeforeMs);
  const startedAtMs = Date.now();
  const batch = await startMoves(domain, from, to);
  await finished(domain, batch);
  await delay(probeAfterMs);
  await fleet.tell({ do: 'unprobe' });
  await untilNothingIsOwed(domain);
  const rows = await domain.sql<{ account: string; fencedAt: Date; committedAt: Date }[]>`
    select a.name as account, m.fenced_at as "fencedAt", m.committed_at as "committedAt"
      from account_move m join account a on a.id = m.account_id
     where m.batch_id = ${batch} and m.committed_at is not null order by m.committed_at`;
  if (rows.length !== names.length) throw new Error(`${rows.length} of ${names.length} accounts were moved`);
  return rows.map(({ account, fencedAt, committedAt }) => ({
    account,
    probed: account.startsWith(probedPrefix),
    startedAtMs,
    fencedAtMs: fencedAt.getTime(),
    committedAtMs: committedAt.getTime(),
  }));
}

async function startMoves(domain: RunningDomain, from: string, to: string): Promise<string> {
  const answer = await domain.rest<{ batch: string }>('POST', '/moves', { from, to });
  if (answer.status !== 201) throw new Error(`the moves were not started: ${JSON.stringify(answer.body)}`);
  return answer.body.batch;
}

/** Until every account has moved and its devices have answered. */
async function finished(domain: RunningDomain, batch: string): Promise<void> {
  await until('all moves are closed', 120_000, async () => {
    const [row] = await domain.sql`select state from move_batch where id = ${batch}`;
    return row?.['state'] === 'done';
  });
}

async function moveBulk(domain: RunningDomain, count: number, from: string, to: string): Promise<MoveFigures['bulk']> {
  await domain.sql`
    with added as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), 'bulk-' || n, 'bulk', i.id from generate_series(1, ${count}::int) n, instance i
       where i.name = ${from}
      returning id, name, instance_id
    ), epochs as (
      insert into account_epoch (account_id, epoch, instance_id) select id, 1, instance_id from added
    )
    insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, udid, os_version)
    select gen_random_uuid(), id, 'token-' || name, 'apple', 'active', '', 'fingerprint-' || name, name, '18.1' from added`;
  await domain.sql`analyze account, device`;
  const batch = await startMoves(domain, from, to);
  const times = () => domain.sql<{ open: number; moved: number; tookMs: number }[]>`
    select count(*) filter (where committed_at is null)::int as open, count(committed_at)::int as moved,
           (extract(epoch from max(committed_at) - min(fenced_at)) * 1000)::float8 as "tookMs"
      from account_move where batch_id = ${batch}`;
  await until('the bulk has moved', 300_000, async () => (await times())[0]?.open === 0);
  const [row] = await times();
  return { accounts: row?.moved ?? 0, accountsPerSecond: perSecond(row?.moved ?? 0, row?.tookMs ?? 0) };
}

function rateOf(moved: readonly MovedAccount[]): number {
  const first = Math.min(...moved.map(({ fencedAtMs }) => fencedAtMs));
  const last = Math.max(...moved.map(({ committedAtMs }) => committedAtMs));
  return perSecond(moved.length, last - first);
}

function perSecond(count: number, tookMs: number): number {
  return Math.round((count / Math.max(1, tookMs)) * 1000);
}

export function describeMove(figures: MoveFigures): string {
  const line = (name: string, { count, p50Ms, p99Ms, maxMs }: Distribution) =>
    `  ${name.padEnd(28)} p50 ${p50Ms} ms  p99 ${p99Ms} ms  max ${maxMs} ms   (${count})`;
  return [
    `Moves of ${figures.accounts} accounts, ${figures.runs} times`,
    `  speed                        ${figures.accountsPerSecondMedian} accounts/s with live devices`,
    `                               ${figures.bulk.accountsPerSecond} accounts/s of a bulk of ${figures.bulk.accounts}`,
    line('unavailability', figures.unavailability),
    line('the same without a move', figures.still),
    line('from mark to commit', figures.fenced),
  ].join('\n');
}
