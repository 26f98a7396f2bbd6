/**
 * `bench sign-ins`: how long devices wait while strangers try passwords as fast as they are let: from several addresses, each under
 * names that nobody has, which costs as much as a wrong password.
 */
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { signInOperations } from '../src/api/sign-in.ts';
import { assertServed, type DriveResult, describeDrive, driveTarget, readBenchDevices } from './connect.ts';
import { administrationUrl, withMeasuredDomain } from './measured-domain.ts';
import { median } from './median.ts';
import { cpuPerRequest, readProcessCpu } from './process-cpu.ts';

interface SignInRun {
  alone: DriveResult;
  beside: DriveResult;
  /** Passwords that were looked at in a second. */
  triedPerSecond: number;
  /** Of a core, in percent, while passwords are tried. */
  administrationCpu: number;
}

export interface SignInReport {
  perSecond: number;
  addresses: number;
  runs: SignInRun[];
  /** Medians of the runs, in ms. */
  aloneP99: number;
  besideP99: number;
}

export interface SignInOptions {
  devices: number;
  connections: number;
  /** Connects a second, of all connections. */
  perSecond: number;
  seconds: number;
  runs: number;
  say: (text: string) => void;
}

/** More of them would be refused: 32 wait at most, 6 of each address. */
const addresses = 6;
const atOnce = 6;

export async function benchSignIns(options: SignInOptions): Promise<SignInReport> {
  const { devices, connections, perSecond, seconds, say } = options;
  const size = { instances: 1, devices, accounts: devices };
  return await withMeasuredDomain(size, say, async ({ domain, fleet, folder }) => {
    const file = join(folder, 'devices.json');
    await fleet.tell({ do: 'export', file });
    await fleet.stop();
    const url = await administrationUrl(domain);
    const drive = async (name: string) => {
      const result = await driveTarget({
        ...{ target: new URL(domain.publicUrl), devices: readBenchDevices(file), identity: 'signature' },
        ...{ connections, durationMs: seconds * 1000, everyMs: (1000 * connections) / perSecond },
      });
      say(`  ${describeDrive(name, result)}`);
      assertServed(name, result);
      return result;
    };
    const runs: SignInRun[] = [];
    for (let run = 1; run <= options.runs; run++) {
      const alone = await drive('devices alone');
      const ending = new AbortController();
      const [atMs, before] = [performance.now(), await readProcessCpu(domain.home)];
      const trying = tryPasswords(new URL(url), ending.signal);
      const beside = await drive('beside sign-ins').finally(() => ending.abort());
      const elapsed = (performance.now() - atMs) / 1000;
      const cpu = cpuPerRequest(before, await readProcessCpu(domain.home), 1)['administration'] ?? 0;
      const triedPerSecond = Math.round((await trying) / elapsed);
      runs.push({ alone, beside, triedPerSecond, administrationCpu: Math.round(cpu / elapsed / 10_000) });
    }
    const p99 = (of: 'alone' | 'beside') => median(runs.map((run) => run[of].p99Ms));
    return { perSecond, addresses, runs, aloneP99: p99('alone'), besideP99: p99('beside') };
  });
}

/** @returns how many were looked at and found wrong */
async function tryPasswords(url: URL, signal: AbortSignal): Promise<number> {
  let [tried, names] = [0, 0];
  const agent = new Agent({ keepAlive: true });
  const loop = async (localAddress: string) => {
    while (!signal.aborted) {
      names += 1;
      const status = await signIn(url, agent, localAddress, `nobody-${names}`);
      if (status === 401) tried += 1;
      else await delay(100);
    }
  };
  const senders = Array.from({ length: addresses * atOnce }, (_, index) => `127.0.0.${11 + (index % addresses)}`);
  await Promise.all(senders.map(loop));
  agent.destroy();
  return tried;
}

async function signIn(url: URL, agent: Agent, localAddress: string, name: string): Promise<number> {
  const host = `localhost:${url.port}`;
  const asking = request(new URL(`/api/v1${signInOperations.password.path}`, url), {
    ...{ method: 'POST', agent, localAddress },
    headers: { host, origin: `http://${host}`, 'content-type': 'application/json' },
  });
  asking.end(JSON.stringify({ name, password: 'not the password' }));
  const [response] = await once(asking, 'response');
  response.resume();
  await once(response, 'end');
  return response.statusCode;
}

export function describeSignIns({ perSecond, addresses: from, runs, aloneP99, besideP99 }: SignInReport): string {
  const tried = runs.map(({ triedPerSecond }) => triedPerSecond).join(', ');
  const cpu = runs.map(({ administrationCpu }) => administrationCpu).join(', ');
  return [
    `Devices beside sign-ins: ${perSecond} connects a second through the router, passwords tried from ${from} addresses`,
    `  p99 of devices, median of ${runs.length}: alone ${aloneP99.toFixed(1)} ms, beside ${besideP99.toFixed(1)} ms`,
    `  passwords a second ${tried}; administration ${cpu} % of a core`,
  ].join('\n');
}
