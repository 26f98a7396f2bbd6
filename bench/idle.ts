/**
 * What a domain costs in which nobody does anything: transactions, statements, connections, processor time, each over a while
 * in which nothing but this looks at it. One instance with its connection service, one administration service, one router.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../src/testing/condition.ts';
import { isAnswering, type RunningDomain, startDomain } from '../test/harness/domain.ts';
import { type ProcessCpu, readProcessCpu } from './process-cpu.ts';

export interface IdleReport {
  seconds: number;
  transactionsPerSecond: number;
  statementsPerSecond: number;
  /** Of the domain's processes, at the end and at the most: by kind. */
  connections: Record<string, number>;
  mostConnections: number;
  /** Share of one core, in percent, by kind of process. */
  cpu: Record<string, number>;
}

/** After the start: pools have shrunk, and what is done once is done. */
const settlingMs = 75_000;
const lookMs = 5000;

export async function benchIdle(options: {
  archive: string;
  seconds: number;
  say: (text: string) => void;
}): Promise<IdleReport> {
  const domain = await startDomain({
    archive: options.archive,
    instances: 1,
    databaseSettings: { log_statement: 'all', log_line_prefix: '%a ' },
  });
  try {
    await until('the domain is at work', 60_000, () => isAnswering(domain));
    options.say(`the domain settles for ${settlingMs / 1000} s, and is looked at for ${options.seconds} s`);
    await delay(settlingMs);
    return await measure(domain, options.seconds);
  } finally {
    await domain.stop();
  }
}

async function measure(domain: RunningDomain, seconds: number): Promise<IdleReport> {
  const before = await readState(domain);
  const most = { connections: 0 };
  let looks = 0;
  for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; looks++) {
    await delay(Math.min(lookMs, Math.max(0, endMs - performance.now())));
    const open = Object.values(await countConnections(domain)).reduce((sum, count) => sum + count, 0);
    most.connections = Math.max(most.connections, open);
  }
  const after = await readState(domain);
  const elapsed = (after.atMs - before.atMs) / 1000;
  return {
    seconds: Math.round(elapsed),
    // Less what was asked from here: each look, and the reading at the beginning.
    transactionsPerSecond: rounded((after.transactions - before.transactions - looks - 1) / elapsed),
    statementsPerSecond: rounded((after.statements - before.statements) / elapsed),
    connections: await countConnections(domain),
    mostConnections: most.connections,
    cpu: shares(before.cpu, after.cpu, elapsed),
  };
}

/** @param kind whose statements are counted; all components' without it */
export async function readState(domain: RunningDomain, kind = '') {
  const statements = await countStatements(domain, kind);
  const [row] = await domain.sql<{ transactions: number }[]>`
    select (xact_commit + xact_rollback)::float8 as transactions
      from pg_stat_database where datname = current_database()`;
  const cpu = await readProcessCpu(domain.home);
  return { atMs: performance.now(), transactions: row?.transactions ?? 0, statements, cpu };
}

/** By kind of component, as the connections name themselves. */
export async function countConnections(domain: RunningDomain): Promise<Record<string, number>> {
  const rows = await domain.sql<{ kind: string; count: number }[]>`
    select coalesce(substring(application_name from '^bramble/([a-z-]+)'), application_name) as kind, count(*)::int as count
      from pg_stat_activity
     where datname = current_database() and application_name <> 'outside' group by 1 order by 1`;
  return Object.fromEntries(rows.map(({ kind, count }) => [kind, count]));
}

/** What the server has logged of statements, but for those that are asked from here. */
async function countStatements(domain: RunningDomain, kind: string): Promise<number> {
  const folder = join(domain.home, 'postgres', 'cluster', 'data', 'log');
  const logged = new RegExp(`^bramble/${kind}\\S* LOG: {2}(?:statement|execute)`, 'gm');
  let count = 0;
  for (const name of await readdir(folder)) {
    const text = await readFile(join(folder, name), 'utf8');
    count += text.match(logged)?.length ?? 0;
  }
  return count;
}

export function shares(before: ProcessCpu, after: ProcessCpu, seconds: number): Record<string, number> {
  const all = [...after].map(([what, us]): [string, number] => [
    what,
    rounded((us - (before.get(what) ?? 0)) / seconds / 10_000),
  ]);
  return Object.fromEntries(all.toSorted(([, a], [, b]) => b - a));
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

export function describeIdle(report: IdleReport, name: string): string {
  const sum = (record: Record<string, number>) => Object.values(record).reduce((total, value) => total + value, 0);
  const parts = (record: Record<string, number>) =>
    Object.entries(record)
      .map(([what, value]) => `${what} ${value}`)
      .join(', ');
  return [
    `an idle domain, ${name}, over ${report.seconds} s (goals: 5 transactions/s, 12 connections)`,
    `  transactions/s  ${report.transactionsPerSecond}`,
    `  statements/s    ${report.statementsPerSecond}`,
    `  connections     ${sum(report.connections)}, ${report.mostConnections} at the most: ${parts(report.connections)}`,
    `  % of a core     ${rounded(sum(report.cpu))}: ${parts(report.cpu)}`,
  ].join('\n');
}
