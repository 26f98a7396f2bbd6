/**
 * `bench move`: accounts of a domain are moved from one instance to the other and back, as fast as their devices take their
 * deliveries within the usual slots, while some of them are probed in a closed loop, and as many that stay where they are.
 *
 * The probed devices live in a process of their own: in one with the others, whose signatures and profiles keep it busy,
 * it would be the simulator that is late.
 *
 * An account's unavailability is the longest time without a success around its move, less the usual time between two
 * (design: upgrade.md). *Stay* is the same of the accounts that are not moved, in the very same windows: what the moves of others do
 * to it. *Still* is the same of all of them in windows of the same length shortly before any account is moved: what the machine
 * alone does.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { moveOperations } from '../src/api/moves.ts';
import { until } from '../src/testing/condition.ts';
import type { RunningDomain } from '../test/harness/domain.ts';
import { type RunningFleet, startFleet } from '../test/harness/fleet.ts';
import { setBudget } from '../test/harness/preparation.ts';
import {
  type Candidate,
  interleave,
  type MeasuredDomain,
  untilNothingIsOwed,
  usualSlots,
  withCandidates,
} from './measured-domain.ts';
import { median } from './median.ts';
import { type Distribution, type MovedAccount, measureMoves, type ProbedMove } from './move-unavailability.ts';
import { cpuPerRequest, readProcessCpu } from './process-cpu.ts';

export interface MoveBenchOptions {
  candidates: readonly Candidate[];
  /** Of an account each; not probed. */
  devices: number;
  /** Further ones that are moved and probed, and as many that are probed and stay. */
  probed: number;
  /** How often all accounts are moved. */
  runs: number;
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
  stay: Distribution;
  still: Distribution;
  /** From the beginning of the move to the end of its statement, all accounts. */
  fenced: Distribution;
  /** Processor time for each moved account, by kind of process; all that happened meanwhile. */
  cpuUs: Record<string, number>;
}

const probedPrefix = 'probed-';
const probeBeforeMs = 1500;
const probeAfterMs = 500;

/** What stays the same over the runs of one domain. */
interface PreparedDomain {
  domain: RunningDomain;
  fleet: RunningFleet;
  moving: readonly string[];
  staying: readonly string[];
  /** Where the accounts are, and where the next run takes them. */
  instances: [here: string, there: string];
  moved: MovedAccount[];
  accountsPerSecond: number[];
  /** Of this domain's own runs: the others' are left out. */
  cpuUs: Map<string, number>;
}

/** @returns figures by candidate. */
export async function benchMove(options: MoveBenchOptions): Promise<Record<string, MoveFigures>> {
  const { devices, say } = options;
  const size = { instances: 2, devices, accounts: devices };
  return await withCandidates(options.candidates, size, say, async (domains) => {
    const all = new Map<string, PreparedDomain>();
    try {
      for (const [name, measured] of domains) all.set(name, await prepareDomain(measured, options));
      await moveInTurns(all, options);
      const figures: Record<string, MoveFigures> = {};
      for (const [name, prepared] of all) figures[name] = await figuresOf(prepared);
      return figures;
    } finally {
      for (const { fleet } of all.values()) await fleet.stop();
    }
  });
}

async function moveInTurns(all: ReadonlyMap<string, PreparedDomain>, { runs, say }: MoveBenchOptions): Promise<void> {
  await interleave(all, runs, async (prepared, name, run) => {
    const before = await readProcessCpu(prepared.domain.home);
    const batch = await runOnce(prepared);
    for (const [what, us] of await readProcessCpu(prepared.domain.home)) {
      prepared.cpuUs.set(what, (prepared.cpuUs.get(what) ?? 0) + us - (before.get(what) ?? 0));
    }
    prepared.moved.push(...batch);
    prepared.accountsPerSecond.push(rateOf(batch));
    prepared.instances.reverse();
    say(`  run ${run}, ${name}: ${batch.length} accounts, ${prepared.accountsPerSecond.at(-1)}/s`);
  });
}

async function prepareDomain(
  { domain, folder }: MeasuredDomain,
  { probed }: MoveBenchOptions,
): Promise<PreparedDomain> {
  const fleet = await startProbedFleet(domain, 2 * probed, join(folder, 'probed.ndjson'));
  try {
    const rows = await domain.sql<{ name: string }[]>`select name from instance order by name`;
    const instances = rows.map(({ name }) => name) as [string, string];
    const home = await domain.api.call(moveOperations.start, { body: { from: instances[1], to: instances[0] } });
    await finished(domain, home.batch);
    await untilNothingIsOwed(domain);
    await setBudget(domain, usualSlots);
    const none = { moved: [], accountsPerSecond: [], cpuUs: new Map<string, number>() };
    return { domain, fleet, ...(await divideAccounts(domain)), instances, ...none };
  } catch (error) {
    await fleet.stop();
    throw error;
  }
}

async function figuresOf({ fleet, moving, staying, ...prepared }: PreparedDomain): Promise<MoveFigures> {
  await fleet.tell({ do: 'stats' });
  const { moved, accountsPerSecond } = prepared;
  return {
    accounts: moving.length,
    runs: accountsPerSecond.length,
    accountsPerSecond,
    accountsPerSecondMedian: median(accountsPerSecond),
    ...(await measureMoves(fleet.journal, moved, staying)),
    cpuUs: cpuPerRequest(new Map(), prepared.cpuUs, moved.length),
  };
}

/** Pushes go on to the push service of the first fleet: probed devices come without. */
async function startProbedFleet(domain: RunningDomain, devices: number, journal: string): Promise<RunningFleet> {
  const push = await domain.sql`select value from setting where key = 'push'`;
  const args = ['--prefix', probedPrefix, '--replace-push'];
  const fleet = await startFleet(domain, { devices, accounts: devices, seed: 'probed', interval: '1s', journal, args });
  await domain.sql`update setting set value = ${domain.sql.json(push[0]?.['value'])} where key = 'push'`;
  await untilNothingIsOwed(domain);
  return fleet;
}

/** Every second one of the probed accounts stays where it is. */
async function divideAccounts(domain: RunningDomain): Promise<{ moving: string[]; staying: string[] }> {
  const rows = await domain.sql<{ name: string }[]>`select name from account order by name`;
  const names = rows.map(({ name }) => name);
  const staying = names.filter((name) => name.startsWith(probedPrefix)).filter((_, index) => index % 2 === 1);
  return { moving: names.filter((name) => !staying.includes(name)), staying };
}

async function runOnce({ domain, fleet, moving, staying, instances }: PreparedDomain): Promise<MovedAccount[]> {
  const accounts = [...moving.filter((name) => name.startsWith(probedPrefix)), ...staying];
  await fleet.tell({ do: 'probe', accounts });
  await delay(probeBeforeMs);
  const startedAtMs = Date.now();
  const order = { accounts: moving, to: instances[1] };
  const { batch } = await domain.api.call(moveOperations.start, { body: order });
  await finished(domain, batch);
  await delay(probeAfterMs);
  await fleet.tell({ do: 'unprobe' });
  await untilNothingIsOwed(domain);
  // The statement of a move knows when it was sent; when its transaction was committed, only the database (see measured-domain.ts).
  const rows = await domain.sql<{ account: string; fencedAt: Date; committedAt: Date }[]>`
    select a.name as account, m.fenced_at as "fencedAt", pg_xact_commit_timestamp(e.xmin) as "committedAt"
      from account_move m join account a on a.id = m.account_id
      join account_epoch e on e.account_id = m.account_id and e.epoch = m.epoch_after
     where m.batch_id = ${batch} and m.committed_at is not null order by 3`;
  if (rows.length !== moving.length) throw new Error(`${rows.length} of ${moving.length} accounts were moved`);
  return rows.map(({ account, fencedAt, committedAt }) => ({
    account,
    probed: account.startsWith(probedPrefix),
    startedAtMs,
    fencedAtMs: fencedAt.getTime(),
    committedAtMs: committedAt.getTime(),
  }));
}

/** Until every account has moved and its devices have answered. */
async function finished(domain: RunningDomain, batch: string): Promise<void> {
  await until('all moves are closed', 120_000, async () => {
    const [row] = await domain.sql`select state from move_batch where id = ${batch}`;
    return row?.['state'] === 'done';
  });
}

function rateOf(moved: readonly MovedAccount[]): number {
  const first = Math.min(...moved.map(({ fencedAtMs }) => fencedAtMs));
  const last = Math.max(...moved.map(({ committedAtMs }) => committedAtMs));
  return perSecond(moved.length, last - first);
}

function perSecond(count: number, tookMs: number): number {
  return Math.round((count / Math.max(1, tookMs)) * 1000);
}

export function describeMove(figures: MoveFigures, name: string): string {
  const line = (name: string, { count, p50Ms, p99Ms, maxMs }: Distribution) =>
    `  ${name.padEnd(30)} p50 ${p50Ms} ms  p99 ${p99Ms} ms  max ${maxMs} ms   (${count})`;
  const less = (name: string, one: Distribution, other: Distribution) => {
    const each = (key: 'p50Ms' | 'p99Ms' | 'maxMs') => Math.round((one[key] - other[key]) * 10) / 10;
    return `  ${name.padEnd(30)} p50 ${each('p50Ms')} ms  p99 ${each('p99Ms')} ms  max ${each('maxMs')} ms`;
  };
  const { unavailability, stay, still } = figures;
  return [
    `Moves, ${name}: ${figures.accounts} accounts, ${figures.runs} times, ${figures.accountsPerSecondMedian} accounts/s`,
    line('moved', unavailability),
    line('stay: not moved, same windows', stay),
    line('still: no moves at all', still),
    less('moved minus stay', unavailability, stay),
    less('stay minus still', stay, still),
    line('from the beginning to COMMIT', figures.fenced),
    `  processor time for a move, µs  ${Object.entries(figures.cpuUs)
      .map(([kind, us]) => `${kind} ${us}`)
      .join(', ')}`,
  ].join('\n');
}
