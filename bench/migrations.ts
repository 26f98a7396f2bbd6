/**
 * `bench migrations`: the expansion of this release's schema on the tables of a large domain of the sealed release before, while devices
 * connect to that: how long each migration takes, how long anybody waits for a lock of it, and what the devices notice.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import postgres from 'postgres';
import { migrate } from '../src/database/migrate.ts';
import { migrationFolder } from '../src/release/program.ts';
import { thisRelease } from '../src/release/this-release.ts';
import { sealedArchive } from '../test/harness/archives.ts';
import { assertServed, type DriveResult, describeDrive, driveTarget, readBenchDevices } from './connect.ts';
import { addAccounts, addEvents } from './large-tables.ts';
import { type MeasuredDomain, withMeasuredDomain } from './measured-domain.ts';

export interface MigrationsReport {
  accounts: number;
  devices: number;
  events: number;
  steps: { number: number; name: string; ms: number }[];
  /** For a lock of whatever kind: the longest wait that a look every 10 ms has seen, by who waited and for what. */
  waits: Record<string, number>;
  /** Of tables that were there before, by kind of lock: how long a migration had it, at the most. */
  held: Record<string, number>;
  before: DriveResult;
  meanwhile: DriveResult;
}

export interface MigrationsOptions {
  accounts: number;
  events: number;
  /** Devices that connect. */
  devices: number;
  connections: number;
  /** Connects a second, of all connections. */
  perSecond: number;
  say: (text: string) => void;
}

const applicationName = 'bramble/bench-migrations';
const beforeMs = 20_000;

export async function benchMigrations(options: MigrationsOptions): Promise<MigrationsReport> {
  const { release, file } = await sealedArchive();
  const { devices, say } = options;
  return await withMeasuredDomain(
    { instances: 1, devices, accounts: devices },
    say,
    async (measured) => await measure(measured, options),
    { name: release, archive: file },
  );
}

async function measure(
  { domain, fleet, folder, instanceUrls }: MeasuredDomain,
  { accounts, events, connections, perSecond, say }: MigrationsOptions,
): Promise<MigrationsReport> {
  const file = join(folder, 'devices.json');
  await fleet.tell({ do: 'export', file });
  await fleet.stop();
  const [target] = instanceUrls.values();
  if (target === undefined) throw new Error('the domain has no instance');
  say(`adding ${accounts} accounts and ${events} events`);
  await addAccounts(domain.sql, accounts);
  await addEvents(domain.sql, events);
  await domain.sql`vacuum analyze`;
  await domain.sql`checkpoint`;
  const [counted] = await domain.sql<{ devices: number; events: number }[]>`
    select (select count(*)::int from device) as devices, (select count(*)::int from event) as events`;
  const drive = async (name: string, durationMs: number, signal?: AbortSignal) => {
    const result = await driveTarget({
      ...{ target, devices: readBenchDevices(file), identity: 'header', connections, durationMs },
      everyMs: (1000 * connections) / perSecond,
      ...(signal && { signal }),
    });
    say(`  ${describeDrive(name, result)}`);
    assertServed(name, result);
    return result;
  };
  const before = await drive('before', beforeMs);
  const [steps, ended] = [[] as MigrationsReport['steps'], new AbortController()];
  const [meanwhile, locks] = await Promise.all([
    drive('meanwhile', 3_600_000, ended.signal),
    watchLocks(domain.databaseUrl, ended.signal),
    (async () => {
      let at = performance.now();
      await migrate(domain.databaseUrl, {
        ...{ folder: migrationFolder(), release: thisRelease.release, contract: false, applicationName },
        onProgress: ({ number, name }) => {
          steps.push({ number, name, ms: Math.round(performance.now() - at) });
          at = performance.now();
        },
      });
    })().finally(() => ended.abort()),
  ]);
  return { accounts, ...{ devices: 0, events: 0 }, ...counted, steps, ...locks, before, meanwhile };
}

/** The longest wait for each kind of lock, and how long a migration had those that keep others from reading or writing; in ms. */
async function watchLocks(url: string, signal: AbortSignal): Promise<Pick<MigrationsReport, 'waits' | 'held'>> {
  const sql = postgres(url, { max: 1, connection: { application_name: 'outside' } });
  const waits: Record<string, number> = {};
  const held: Record<string, number> = {};
  try {
    const tables = await sql<{ id: string }[]>`
      select oid::text as id from pg_class where relkind = 'r' and relnamespace = current_schema()::regnamespace`;
    const ids = tables.map(({ id }) => id);
    const seenSince = new Map<string, number>();
    while (!signal.aborted) {
      const rows = await sql<{ what: string; isHeld: boolean; ms: number; since: string }[]>`
        select case when l.granted then '' when a.application_name = ${applicationName} then 'the migration for '
                    else a.application_name || ' for ' end
               || l.mode || ' of ' || coalesce(l.relation::regclass::text, l.locktype) as what,
               l.granted as "isHeld", a.xact_start::text as since,
               coalesce(extract(epoch from clock_timestamp() - l.waitstart)::float8 * 1000, 0) as ms
          from pg_locks l join pg_stat_activity a using (pid)
         where not l.granted and l.waitstart is not null
            or l.granted and a.application_name = ${applicationName} and l.relation::text = any(${ids})
               and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`;
      for (const { what, isHeld, ms, since } of rows) {
        const at = seenSince.get(what + since) ?? performance.now();
        seenSince.set(what + since, at);
        const [of, now] = isHeld ? [held, performance.now() - at] : [waits, ms];
        of[what] = Math.max(of[what] ?? 0, Math.round(now));
      }
      await delay(10);
    }
    return { waits, held };
  } finally {
    await sql.end({ timeout: 1 });
  }
}

export function describeMigrations(report: MigrationsReport): string {
  const { accounts, devices, events, steps, waits, held, before, meanwhile } = report;
  return [
    `Migrations beside connects: ${accounts} accounts, ${devices} devices, ${events} events`,
    ...steps.map(({ number, name, ms }) => `  ${String(number).padStart(3, '0')} ${name.padEnd(24)}${ms} ms`),
    ...Object.entries(waits).map(([what, ms]) => `  longest wait of ${what}: ${ms} ms`),
    ...Object.entries(held).map(([what, ms]) => `  held ${what}: ${ms} ms`),
    `  ${describeDrive('before', before)}`,
    `  ${describeDrive('meanwhile', meanwhile)}`,
  ].join('\n');
}
