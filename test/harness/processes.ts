/** The domain's processes as an operator with a shell sees them: found by name, signalled, started by hand. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunningDomain, until } from './domain.ts';

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

/** Waits until another process than `before` has the name, and its links are up where it has any. */
export async function untilReplaced(domain: RunningDomain, name: string, before: number): Promise<void> {
  await until(`${name} is back as another process`, 60_000, async () => {
    const [row] = await domain.sql`
      select 1 from component
       where name = ${name} and process_id <> ${before} and stopped_at is null and lease_until > clock_timestamp()
         and coalesce((detail->'links'->0->>'up')::boolean, true)`;
    return row !== undefined;
  });
}

/** kill -9, and the supervisor brings it back. */
export async function killAndAwait(domain: RunningDomain, name: string): Promise<void> {
  await untilReplaced(domain, name, await signal(domain, name, 'SIGKILL'));
}

/** Of the embedded PostgreSQL. */
export async function postmasterId(domain: RunningDomain): Promise<number> {
  const [row] = await domain.sql<{ folder: string }[]>`select current_setting('data_directory') as folder`;
  const [first] = (await readFile(join(row?.folder ?? '', 'postmaster.pid'), 'utf8')).split('\n');
  return Number(first);
}

/** Runs a component of an installed release by hand, as no supervisor would, until it exits by itself. */
export async function runByHand(
  domain: RunningDomain,
  release: string,
  kind: string,
  name: string,
  settings: unknown = {},
): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, [join(domain.home, 'releases', release, 'bramble.mjs'), 'run', kind], {
    env: {
      ...process.env,
      BRAMBLE_HOME: domain.home,
      BRAMBLE_COMPONENT: name,
      BRAMBLE_SETTINGS: JSON.stringify(settings),
      DATABASE_URL: domain.databaseUrl,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said: Buffer.concat(said).toString('utf8') };
}

/**
 * Settings of a PostgreSQL that is going to be killed: what it said was committed has left its process. It need not be on
 * the disk, since the machine lives on.
 */
export const durableDatabase: Readonly<Record<string, string>> = { fsync: 'off', shared_buffers: '64MB' };
