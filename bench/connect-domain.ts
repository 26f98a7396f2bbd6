/**
 * `bench connect`: Idle connects against a real domain, beside a bare `node:http` server, all in one run and by one
 * driver.
 *
 *   bare       a `node:http` server that reads the body and answers 200
 *   header     the instance's loopback port, as behind a proxy that it trusts (RFC 9440 `Client-Cert`)
 *   signature  `Mdm-Signature` over TLS through the router, as devices come
 *
 * Beside each rate stands what a request costs each process in processor time, which depends less on the neighbours.
 * Invariant: a figure counts only when every request was answered 200 and none was handed a command.
 */
import { join } from 'node:path';
import type { OpenedStream } from '../src/rest/stream-fixture.ts';
import {
  assertServed,
  type BenchDevice,
  type DriveResult,
  describeDrive,
  driveReference,
  driveTarget,
  ratioOf,
  readBenchDevices,
} from './connect.ts';
import { type Candidate, interleave, type MeasuredDomain, ownName, withCandidates } from './measured-domain.ts';
import { median } from './median.ts';
import { streamOpener } from './open-streams.ts';
import { cpuPerRequest, readProcessCpu } from './process-cpu.ts';

export interface ConnectBenchOptions {
  candidates: readonly Candidate[];
  devices: number;
  connections: number;
  durationMs: number;
  /** How often the three are measured, one after the other. */
  runs: number;
  /** Streams of live events beside them; the working tree is measured without and with. 0 for without alone. */
  streams: number;
  say: (text: string) => void;
}

export interface ConnectRun {
  bare: DriveResult;
  header: DriveResult;
  signature: DriveResult;
  /** Rate over the bare server's in the same run. */
  headerRatio: number;
  signatureRatio: number;
  /** Microseconds of processor time for one request, by process. */
  headerCpuUs: CpuCosts;
  signatureCpuUs: CpuCosts;
}

type CpuCosts = Readonly<Record<string, number>>;

export interface ConnectFigures {
  devices: number;
  connections: number;
  runs: ConnectRun[];
  /** Medians of the runs. */
  barePerSecond: number;
  headerPerSecond: number;
  headerRatio: number;
  signaturePerSecond: number;
  signatureRatio: number;
  headerCpuUs: CpuCosts;
  signatureCpuUs: CpuCosts;
}

interface PreparedDomain {
  /** To be open meanwhile. */
  openStreams: () => Promise<OpenedStream[]>;
  devices: readonly BenchDevice[];
  instance: URL;
  router: URL;
  home: string;
}

/** @returns figures by candidate. @throws Error where an answer was not a 200, or held a command. */
export async function benchConnectDomain(options: ConnectBenchOptions): Promise<Record<string, ConnectFigures>> {
  const { devices: count, say } = options;
  const size = { instances: 1, devices: count, accounts: count };
  return await withCandidates(options.candidates, size, say, async (domains) => {
    const all = new Map<string, PreparedDomain>();
    for (const [name, measured] of domains) {
      const prepared = await prepareDevices(measured);
      all.set(name, prepared);
      if (options.streams === 0 || name !== ownName) continue;
      const { open } = await streamOpener(measured.domain, options.streams);
      all.set(`${name}, ${options.streams} streams`, { ...prepared, openStreams: () => open(options.streams) });
    }
    const runs = new Map<string, ConnectRun[]>([...all.keys()].map((name) => [name, []]));
    await interleave(all, options.runs, async (prepared, name, run) => {
      say(`run ${run} of ${options.runs}, ${name}`);
      const streams = await prepared.openStreams();
      runs.get(name)?.push(await runOnce(options, prepared));
      for (const each of streams) each.close();
    });
    return Object.fromEntries([...runs].map(([name, of]) => [name, figuresOf(options, of)]));
  });
}

async function prepareDevices({ domain, fleet, folder, instanceUrls }: MeasuredDomain): Promise<PreparedDomain> {
  const file = join(folder, 'devices.json');
  await fleet.tell({ do: 'export', file });
  // A device that came by itself meanwhile would take part in the measurement.
  await fleet.stop();
  const [instance] = instanceUrls.values();
  if (instance === undefined) throw new Error('the domain has no instance');
  return {
    openStreams: async () => [],
    devices: readBenchDevices(file),
    ...{ instance, router: new URL(domain.publicUrl), home: domain.home },
  };
}

function figuresOf({ devices, connections }: ConnectBenchOptions, runs: ConnectRun[]): ConnectFigures {
  return {
    devices,
    connections,
    runs,
    barePerSecond: median(runs.map(({ bare }) => bare.perSecond)),
    headerPerSecond: median(runs.map(({ header }) => header.perSecond)),
    headerRatio: median(runs.map(({ headerRatio }) => headerRatio)),
    signaturePerSecond: median(runs.map(({ signature }) => signature.perSecond)),
    signatureRatio: median(runs.map(({ signatureRatio }) => signatureRatio)),
    headerCpuUs: medianCosts(runs.map(({ headerCpuUs }) => headerCpuUs)),
    signatureCpuUs: medianCosts(runs.map(({ signatureCpuUs }) => signatureCpuUs)),
  };
}

function medianCosts(runs: readonly CpuCosts[]): CpuCosts {
  const names = Object.keys(runs[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(runs.map((costs) => costs[name] ?? 0))]));
}

async function runOnce(
  { connections, durationMs, say }: ConnectBenchOptions,
  { devices, instance, router, home }: PreparedDomain,
): Promise<ConnectRun> {
  const common = { devices, connections, durationMs };
  const measure = async (name: string, drive: () => Promise<DriveResult>) => {
    const before = await readProcessCpu(home);
    const result = await drive();
    const costs = cpuPerRequest(before, await readProcessCpu(home), result.answered);
    say(`  ${describeDrive(name, result)}`);
    assertServed(name, result);
    return { result, costs };
  };
  const { result: bare } = await measure('bare node:http', () => driveReference({ ...common, identity: 'header' }));
  const header = await measure('instance, header', () =>
    driveTarget({ ...common, identity: 'header', target: instance }),
  );
  const signature = await measure('router, TLS, Mdm-Signature', () =>
    driveTarget({ ...common, identity: 'signature', target: router }),
  );
  return {
    bare,
    header: header.result,
    signature: signature.result,
    headerRatio: ratioOf(header.result, bare),
    signatureRatio: ratioOf(signature.result, bare),
    headerCpuUs: header.costs,
    signatureCpuUs: signature.costs,
  };
}

export function describeConnect(figures: ConnectFigures, name: string): string {
  return [
    `Idle connects, ${name}: ${figures.devices} devices, ${figures.connections} connections, median of ${figures.runs.length}`,
    `  bare node:http               ${figures.barePerSecond}/s`,
    `  instance, header             ${figures.headerPerSecond}/s   ${figures.headerRatio} of bare`,
    `  router, TLS, Mdm-Signature   ${figures.signaturePerSecond}/s   ${figures.signatureRatio} of bare`,
    'Processor time of a request, microseconds',
    `  instance, header             ${describeCosts(figures.headerCpuUs)}`,
    `  router, TLS, Mdm-Signature   ${describeCosts(figures.signatureCpuUs)}`,
  ].join('\n');
}

function describeCosts(costs: CpuCosts): string {
  const sum = Object.values(costs).reduce((total, us) => total + us, 0);
  return `${sum} = ${Object.entries(costs)
    .map(([what, us]) => `${what} ${us}`)
    .join(' + ')}`;
}
