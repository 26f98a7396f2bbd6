/**
 * Processor time of a domain's processes, by what they are: read before and after, the difference over the requests in between
 * is what a request costs. Linux alone says it of other processes (proc(5)).
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** What a process is (`router`, `server`, `administration`, …; `postgresql` for all of the database's) -> microseconds so far. */
export type ProcessCpu = ReadonlyMap<string, number>;

/** Of proc(5): clock ticks of a second, 100 on every Linux that Node runs on. */
const tickUs = 10_000;

/**
 * All processes that work in the home or in its database's folder, and those that they started and that have ended: sessions
 * of the database come and go with the pools. A process of the supervisor's that ends meanwhile is missing from the next reading.
 */
export async function readProcessCpu(home: string): Promise<ProcessCpu> {
  const cpu = new Map<string, number>();
  const folders = new Map([
    [home, (command: string[]) => command[command.indexOf('run') + 1] ?? 'other'],
    [join(home, 'postgres', 'cluster', 'data'), () => 'postgresql'],
  ]);
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const name = folders.get(await readlink(`/proc/${pid}/cwd`));
      if (name === undefined) continue;
      const what = name((await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0'));
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
      const ticks = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .slice(11, 15)
        .map(Number);
      cpu.set(what, (cpu.get(what) ?? 0) + ticks.reduce((sum, count) => sum + count, 0) * tickUs);
    } catch {
      // It ended meanwhile, or is none of ours.
    }
  }
  return cpu;
}

/** Microseconds of each for one of so many requests, the dearest first. */
export function cpuPerRequest(before: ProcessCpu, after: ProcessCpu, requests: number): Record<string, number> {
  const costs = [...after].map(([what, us]): [string, number] => [
    what,
    Math.round((us - (before.get(what) ?? 0)) / Math.max(1, requests)),
  ]);
  return Object.fromEntries(costs.filter(([, us]) => us > 0).toSorted(([, a], [, b]) => b - a));
}
