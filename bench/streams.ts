/**
 * What open streams of live events cost an administration service and its database: none, one, and 200, over a while in which an event
 * a second happens.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { OpenedStream } from '../src/rest/stream-fixture.ts';
import { until } from '../src/testing/condition.ts';
import { workingTreeArchive } from '../test/harness/archives.ts';
import { isAnswering, type RunningDomain, startDomain } from '../test/harness/domain.ts';
import { countConnections, readState, shares } from './idle.ts';
import { streamOpener } from './open-streams.ts';

interface StreamsReport {
  streams: number;
  /** Of the administration service, as its sessions. */
  statementsPerSecond: number;
  sessions: number;
  /** Of a core, in percent. */
  administrationCpu: number;
  postgresqlCpu: number;
  heapMb: number;
  /** From the commit until the last stream is told, at the most and in the median. */
  lastToldMs: { median: number; most: number };
}

const settlingMs = 75_000;

export async function benchStreams(options: {
  seconds: number;
  streams: readonly number[];
  say: (text: string) => void;
}): Promise<StreamsReport[]> {
  const { file } = await workingTreeArchive();
  const domain = await startDomain({
    archive: file,
    instances: 1,
    databaseSettings: { log_statement: 'all', log_line_prefix: '%a ' },
  });
  const reports: StreamsReport[] = [];
  try {
    await until('the domain is at work', 60_000, () => isAnswering(domain));
    const { url, open } = await streamOpener(domain, Math.max(...options.streams));
    options.say(`the domain settles for ${settlingMs / 1000} s`);
    await delay(settlingMs);
    for (const streams of options.streams) {
      const opened = await open(streams);
      reports.push(await measure(domain, url, opened, options.seconds));
      for (const each of opened) each.close();
      options.say(describeStreams(reports.slice(-1)));
    }
    return reports;
  } finally {
    await domain.stop();
  }
}

async function measure(
  domain: RunningDomain,
  url: string,
  opened: readonly OpenedStream[],
  seconds: number,
): Promise<StreamsReport> {
  // What opening them took is over.
  await delay(5000);
  const before = await readState(domain, 'administration');
  const told: number[] = [];
  for (let second = 0; second < seconds; second++) {
    const message = `event ${second} of ${opened.length}`;
    const startedAt = performance.now();
    await domain.sql`insert into event (kind, message) values ('bench', ${message})`;
    await Promise.all(opened.map(async (each) => await each.untilTold(message, (one) => one.message === message)));
    told.push(performance.now() - startedAt);
    await delay(Math.max(0, 1000 - (performance.now() - startedAt)));
  }
  const after = await readState(domain, 'administration');
  const elapsed = (after.atMs - before.atMs) / 1000;
  const cpu = shares(before.cpu, after.cpu, elapsed);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const heap = Number(/^nodejs_heap_size_used_bytes\S* (\S+)/m.exec(metrics)?.[1] ?? Number.NaN);
  const sorted = told.toSorted((a, b) => a - b);
  return {
    streams: opened.length,
    statementsPerSecond: Math.round(((after.statements - before.statements) / elapsed) * 10) / 10,
    sessions: (await countConnections(domain))['administration'] ?? 0,
    administrationCpu: cpu['administration'] ?? 0,
    postgresqlCpu: cpu['postgresql'] ?? 0,
    heapMb: Math.round(heap / 1024 / 1024),
    lastToldMs: {
      median: Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0),
      most: Math.round(sorted.at(-1) ?? 0),
    },
  };
}

export function describeStreams(reports: readonly StreamsReport[]): string {
  return reports
    .map(
      ({ streams, statementsPerSecond, sessions, administrationCpu, postgresqlCpu, heapMb, lastToldMs }) =>
        `${streams} streams: ${statementsPerSecond} statements/s, ${sessions} sessions and ${administrationCpu} % of a core of the ` +
        `administration, ${postgresqlCpu} % of PostgreSQL, heap ${heapMb} MB; the last stream is told after ${lastToldMs.median} ms, ${lastToldMs.most} at the most`,
    )
    .join('\n');
}
