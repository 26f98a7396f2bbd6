/**
 * `bench backup`: how long a backup takes, trying it and restoring it, and the export to an external database, in a large domain,
 * and what its devices notice meanwhile. PostgreSQL is as an installation has it (fsync on).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type postgres from 'postgres';
import { startEmbedded, stopEmbedded } from '../src/database/embedded/server.ts';
import { workingTreeArchive, workingTreeProgram } from '../test/harness/archives.ts';
import { type RunningDomain, startDomain } from '../test/harness/domain.ts';
import { startFleet } from '../test/harness/fleet.ts';
import { setBudget } from '../test/harness/preparation.ts';
import { assertServed, connectRequest, type DriveResult, driveConnects, readBenchDevices } from './connect.ts';
import { untilNothingIsOwed, wideBudget } from './measured-domain.ts';

export interface BackupFigures {
  accounts: number;
  devices: number;
  rows: number;
  databaseMb: number;
  fileMb: number;
  create: Measured;
  verify: Measured;
  restore: Measured;
  exported: Measured;
  /** Copy and comparison: the domain stands still for so long, and for stopping and starting it. */
  exportSeconds: number;
  /** Connects of a few devices in a closed loop: with nothing beside them, and while each command ran. */
  connects: Record<'alone' | 'create' | 'verify' | 'exported', DriveResult>;
}

/** Of one command: how long it took, and its resident memory at its most. */
interface Measured {
  seconds: number;
  peakMb: number;
}

const driven = { devices: 20, connections: 4, aloneMs: 15_000, warmUpMs: 2000 };

export async function benchBackup(options: { accounts: number; say: (text: string) => void }): Promise<BackupFigures> {
  const { accounts, say } = options;
  const folder = await mkdtemp(join(tmpdir(), 'bramble-bench-'));
  await chmod(folder, 0o711);
  const { file: archive } = await workingTreeArchive();
  const domain = await startDomain({ archive, instances: 1, databaseSettings: {} });
  try {
    const drive = await devicesToDrive(domain, folder);
    say(`filling a domain with ${accounts} accounts`);
    await fill(domain.sql, accounts);
    await writeFile(join(folder, 'passphrase'), 'a passphrase for measuring\n');
    const secret = ['--passphrase-file', join(folder, 'passphrase')];
    const out = join(folder, 'measured.backup');
    const run = async (home: string, ...args: string[]) => {
      say(args.slice(0, 2).join(' '));
      return await measured({ ...process.env, BRAMBLE_HOME: home }, args);
    };
    /** While devices connect. */
    const beside = async (...args: string[]) => {
      const ended = new AbortController();
      const connects = drive(600_000, ended.signal);
      await delay(driven.warmUpMs);
      const command = await run(domain.home, ...args).finally(() => ended.abort());
      return { command, connects: await connects };
    };
    const alone = await drive(driven.aloneMs);
    const create = await beside('backup', 'create', '--out', out, ...secret);
    const verify = await beside('backup', 'verify', out, ...secret, '--scratch', folder);
    const target = join(folder, 'target');
    const { url } = await startEmbedded({ folder: target });
    const exported = await beside('database', 'export', '--rehearse', '--database-url', url).finally(async () => {
      await stopEmbedded({ folder: target, mode: 'immediate' });
    });
    await rm(target, { recursive: true });
    const restore = await run(join(folder, 'restored'), 'backup', 'restore', '--yes', out, ...secret);
    const connects = { alone, create: create.connects, verify: verify.connects, exported: exported.connects };
    for (const [name, result] of Object.entries(connects)) assertServed(name, result);
    const { rows } = JSON.parse(create.command.output) as { rows: number };
    const { copySeconds } = JSON.parse(exported.command.output) as { copySeconds: number };
    const timed = { create: create.command, verify: verify.command, exported: exported.command, restore };
    return {
      ...{ accounts, rows, ...(await sizes(domain.sql)), fileMb: (await stat(out)).size / 1e6 },
      ...(Object.fromEntries(
        Object.entries(timed).map(([name, { seconds, peakMb }]) => [name, { seconds, peakMb }]),
      ) as Record<keyof typeof timed, Measured>),
      ...{ exportSeconds: copySeconds, connects },
    };
  } finally {
    await domain.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

export function describeBackup(figures: BackupFigures): string {
  const { accounts, devices, rows, databaseMb, fileMb, connects } = figures;
  const command = (name: 'create' | 'verify' | 'restore' | 'exported') => {
    const { seconds, peakMb } = figures[name];
    return `  ${name.padEnd(10)}${seconds.toFixed(1)} s, ${peakMb.toFixed(0)} MB of memory`;
  };
  return [
    `Backup of ${accounts} accounts with ${devices} devices (${rows} rows): ${databaseMb.toFixed(0)} MB in the database, ` +
      `${fileMb.toFixed(0)} MB in the file`,
    command('create'),
    command('verify'),
    command('restore'),
    command('exported'),
    `  pause     ${figures.exportSeconds.toFixed(1)} s of an export to an external database, without stop and start`,
    `Connects of ${driven.devices} devices over ${driven.connections} connections meanwhile`,
    ...Object.entries(connects).map(
      ([name, { perSecond, p50Ms, p99Ms, maxMs }]) =>
        `  ${name.padEnd(10)}${perSecond}/s, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, longest ${maxMs.toFixed(0)} ms`,
    ),
  ].join('\n');
}

/** Devices that have enrolled, and come no more by themselves; drives them through the router. */
async function devicesToDrive(domain: RunningDomain, folder: string) {
  await setBudget(domain, wideBudget);
  const { devices } = driven;
  const journal = join(folder, 'journal.ndjson');
  const fleet = await startFleet(domain, { devices, accounts: devices, seed: 'bench', interval: '1s', journal });
  await untilNothingIsOwed(domain);
  const file = join(folder, 'devices.json');
  await fleet.tell({ do: 'export', file });
  await fleet.stop();
  const { host, hostname, port } = new URL(domain.publicUrl);
  const requests = readBenchDevices(file).map((device) => connectRequest(device, host, 'signature'));
  return async (durationMs: number, signal?: AbortSignal): Promise<DriveResult> =>
    await driveConnects({
      ...{ requests, durationMs, connections: driven.connections, warmUpMs: driven.warmUpMs },
      target: { host: hostname, port: Number(port), tls: true },
      ...(signal === undefined ? {} : { signal }),
    });
}

/** Three devices for two accounts, each with three commands and deliveries that are done. Certificates and answers are of usual size. */
async function fill(sql: postgres.Sql, accounts: number): Promise<void> {
  await sql`
    with added as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), 'person-' || n, 'Person ' || n, i.id from generate_series(1, ${accounts}::int) n, instance i
      returning id, name, instance_id
    ), epochs as (
      insert into account_epoch (account_id, epoch, instance_id) select id, 1, instance_id from added
    ), named as (
      select id, name || '/' || k as name
        from added, generate_series(1, case when right(name, 1) in ('0', '2', '4', '6', '8') then 2 else 1 end) k
    ), devices as (
      insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, identity_certificate,
                          identity_issued_at, identity_expires_at, udid, os_version, push_token, push_magic, inventory)
      select gen_random_uuid(), id, encode(sha256(convert_to('t' || name, 'utf8')), 'hex'), 'apple', 'active', '',
             encode(sha256(convert_to('f' || name, 'utf8')), 'hex'),
             (select string_agg(sha256(convert_to(name || k, 'utf8')), '') from generate_series(1, 28) k),
             now(), now() + interval '1 year', name, '18.1', sha256(convert_to('p' || name, 'utf8')), name,
             jsonb_build_object('DeviceName', name, 'BatteryLevel', 0.5, 'OSVersion', '18.1', 'ModelName', 'iPhone')
        from named
      returning id, account_id
    )
      insert into command (id, device_id, account_id, request_type, body, state, answered_at, answer)
      select gen_random_uuid(), d.id, d.account_id, 'InstallProfile',
             (select string_agg(sha256(convert_to(d.id::text || k || m, 'utf8')), '') from generate_series(1, 60) m),
             'acknowledged', now(), jsonb_build_object('Status', 'Acknowledged', 'UDID', d.id)
        from devices d, generate_series(1, 3) k`;
  await sql`
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, revision, settled_at)
    select gen_random_uuid(), d.account_id, d.id, i.item, 'activation', true, 'done', repeat('0', 64), now()
      from device d, (values ('it-policy'), ('service-books'), ('synchronization')) i(item)
     where d.push_magic like 'person-%'`;
  await sql`vacuum analyze`;
}

async function sizes(sql: postgres.Sql): Promise<{ databaseMb: number; devices: number }> {
  const [row] = await sql<{ databaseMb: number; devices: number }[]>`
    select (pg_database_size(current_database()) / 1e6)::float8 as "databaseMb", (select count(*)::int from device) as devices`;
  return row ?? { databaseMb: 0, devices: 0 };
}

/** Runs `bramble` and looks at its memory meanwhile. */
async function measured(env: NodeJS.ProcessEnv, args: readonly string[]): Promise<Measured & { output: string }> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [await workingTreeProgram(), ...args, '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  let peakMb = 0;
  const ended = once(child, 'close').then(() => true);
  while (!(await Promise.race([ended, delay(200, false)]))) {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    peakMb = Math.max(peakMb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1000);
  }
  if (child.exitCode !== 0) throw new Error(`bramble ${args.join(' ')} ended with ${child.exitCode}`);
  return { seconds: (performance.now() - startedAt) / 1000, peakMb, output };
}
