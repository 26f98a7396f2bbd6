/** The domain's processes as an operator with a shell sees them: found by name, signalled, started by hand. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../../src/testing/condition.ts';
import type { RunningDomain } from './domain.ts';

/** Process id of a component that is alive. @throws Error when it is not. */
export async function processIdOf(domain: RunningDomain, name: string): Promise<number> {
  const [row] = await domain.sql<{ id: number }[]>`
    select process_id as id from component
     where name = ${name} and stopped_at is null and lease_until > clock_timestamp()`;
  if (!row) throw new Error(`${name} is not alive`);
  return row.id;
}

export async function signal(domain: RunningDomain, name: string, kind: NodeJS.Signals): Promise<number> {
  const id = await processIdOf(domain, name);
  process.kill(id, kind);
  return id;
}

/** Waits until a process other than `before` has the name, with its links, if any, up. */
export async function untilReplaced(domain: RunningDomain, name: string, before: number): Promise<void> {
  await until(`${name} is back as another process`, 60_000, async () => {
    const [row] = await domain.sql`
      select 1 from component
       where name = ${name} and process_id <> ${before} and stopped_at is null and lease_until > clock_timestamp()
         and coalesce((detail->'links'->0->>'up')::boolean, true)`;
    return row !== undefined;
  });
}

/** kill -9. @returns a function that waits until the supervisor has restarted it. */
export async function kill(domain: RunningDomain, name: string): Promise<() => Promise<void>> {
  const before = await signal(domain, name, 'SIGKILL');
  return async () => await untilReplaced(domain, name, before);
}

export async function killAndAwait(domain: RunningDomain, name: string): Promise<void> {
  const back = await kill(domain, name);
  await back();
}

/** Of the embedded PostgreSQL. */
export async function postmasterId(domain: RunningDomain): Promise<number> {
  const [row] = await domain.sql<{ folder: string }[]>`select current_setting('data_directory') as folder`;
  const [first] = (await readFile(join(row?.folder ?? '', 'postmaster.pid'), 'utf8')).split('\n');
  return Number(first);
}

export interface ByHand {
  readonly process: ChildProcess;
  /** Exit status, and all of its output. */
  readonly ended: Promise<{ code: number | null; said: string }>;
}

/** Starts a component of an installed release by hand, as no supervisor would. */
export function startByHand(
  domain: RunningDomain,
  release: string,
  kind: string,
  name: string,
  settings: unknown = {},
): ByHand {
  const child = spawn(process.execPath, [join(domain.home, 'releases', release, 'bramble.mjs'), 'run', kind], {
    env: {
      ...process.env,
      BRAMBLE_HOME: domain.home,
      BRAMBLE_COMPONENT: name,
      BRAMBLE_SETTINGS: JSON.stringify(settings),
      DATABASE_URL: domain.databaseUrl,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk));
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    said: Buffer.concat(said).toString('utf8'),
  }));
  return { process: child, ended };
}

/** The same for a process that should exit by itself; otherwise it is killed. */
export async function runByHand(
  ...order: Parameters<typeof startByHand>
): Promise<{ code: number | null; said: string }> {
  const { process: child, ended } = startByHand(...order);
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  return await ended.finally(() => clearTimeout(timer));
}

/**
 * Settings for a PostgreSQL that will be killed: whatever it reported as committed has left its process. It need not be on
 * disk, as the machine keeps running.
 */
export const durableDatabase: Readonly<Record<string, string>> = { fsync: 'off', shared_buffers: '64MB' };
