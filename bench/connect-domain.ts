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
import { withMeasuredDomain } from './measured-domain.ts';
import { median } from './median.ts';
import { cpuPerRequest, readProcessCpu } from './process-cpu.ts';

export interface ConnectBenchOptions {
  devices: number;
  connections: number;
  durationMs: number;
  /** How often the three are measured, one after the other. */
  runs: number;
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

/** @throws Error where an answer was not a 200, or held a command. */
export async function benchConnectDomain(options: ConnectBenchOptions): Promise<ConnectFigures> {
  const { devices: count, connections, say } = options;
  return await withMeasuredDomain({ instances: 1, devices: count, accounts: count }, say, async (measured) => {
    const { domain, fleet, folder, instanceUrls } = measured;
    const file = join(folder, 'devices.json');
    await fleet.tell({ do: 'export', file });
    const devices = readBenchDevices(file);
    // A device that came by itself meanwhile would take part in the measurement.
    await fleet.stop();
    const [instance] = instanceUrls.values();
    if (instance === undefined) throw new Error('the domain has no instance');
    const runs: ConnectRun[] = [];
    for (let run = 1; run <= options.runs; run++) {
      say(`run ${run} of ${options.runs}`);
      runs.push(await runOnce(options, devices, { instance, router: new URL(domain.publicUrl), home: domain.home }));
    }
    return {
      devices: devices.length,
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
  });
}

function medianCosts(runs: readonly CpuCosts[]): CpuCosts {
  const names = Object.keys(runs[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(runs.map((costs) => costs[name] ?? 0))]));
}

async function runOnce(
  { connections, durationMs, say }: ConnectBenchOptions,
  devices: readonly BenchDevice[],
  { instance, router, home }: { instance: URL; router: URL; home: string },
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

export function describeConnect(figures: ConnectFigures): string {
  return [
    `Idle connects, ${figures.devices} devices, ${figures.connections} connections, median of ${figures.runs.length}`,
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
