/**
 * Memory of a domain's processes while a fleet is at work: what Linux counts as resident, and what of it no other process
 * shares (the program of Node itself is mapped once for all of them).
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { withMeasuredDomain } from './measured-domain.ts';

export interface ProcessMemory {
  what: string;
  /** Resident, its share of what several have mapped counted whole, in MB. */
  residentMb: number;
  /** Its own alone. */
  privateMb: number;
}

export interface MemoryReport {
  devices: number;
  /** At the end, and the most of an instance that was seen. */
  processes: ProcessMemory[];
  mostOfInstanceMb: number;
}

const lookMs = 2000;

export async function benchMemory(options: {
  devices: number;
  seconds: number;
  say: (text: string) => void;
}): Promise<MemoryReport> {
  const { devices, seconds, say } = options;
  const size = { instances: 1, devices, accounts: Math.ceil(devices / 4) };
  return await withMeasuredDomain(size, say, async ({ domain }) => {
    say(`devices connect every 5 s for ${seconds} s`);
    let mostOfInstanceMb = 0;
    for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; ) {
      await delay(lookMs);
      const instance = (await readMemory(domain.home)).find(({ what }) => what === 'server');
      mostOfInstanceMb = Math.max(mostOfInstanceMb, instance?.residentMb ?? 0);
    }
    return { devices, processes: await readMemory(domain.home), mostOfInstanceMb };
  });
}

/** Of the processes that run from a release in this home. */
export async function readMemory(home: string): Promise<ProcessMemory[]> {
  const found: ProcessMemory[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      if ((await readlink(`/proc/${pid}/cwd`)) !== home) continue;
      const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
      if (!command.includes('run')) continue;
      const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
      const mb = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0) / 1024;
      found.push({
        what: command[command.indexOf('run') + 1] ?? 'other',
        residentMb: Math.round(mb('Rss')),
        privateMb: Math.round(mb('Private_Clean') + mb('Private_Dirty')),
      });
    } catch {
      // It ended meanwhile, or is none of ours.
    }
  }
  return found.toSorted((a, b) => b.residentMb - a.residentMb);
}

export function describeMemory(report: MemoryReport): string {
  return [
    `${report.devices} devices at one instance (goal: 130 MB), MB resident, and of that its own`,
    ...report.processes.map(
      ({ what, residentMb, privateMb }) =>
        `  ${what.padEnd(15)} ${residentMb}, ${privateMb}${what === 'server' ? `; ${report.mostOfInstanceMb} at the most` : ''}`,
    ),
  ].join('\n');
}
