/**
 * `bench rehearsal`: how long a backup of a large domain of the sealed release takes, and the rehearsal of the upgrade with it, step
 * by step. Each account has a device, and what it was sent; the domain is at work meanwhile, with nothing to do.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBackup } from '../src/backup/create-backup.ts';
import { registeredPlatforms } from '../src/platforms/registered/platforms.ts';
import { rehearseUpgrade } from '../src/rehearsal/rehearse-upgrade.ts';
import { installArchive } from '../src/release/archive.ts';
import { migrationFolder } from '../src/release/program.ts';
import { thisRelease } from '../src/release/this-release.ts';
import { fenceMs, type Rehearsal } from '../src/upgrade/plan/rehearsal-record.ts';
import { sealedArchive, workingTreeArchive } from '../test/harness/archives.ts';
import { type RunningDomain, startDomain } from '../test/harness/domain.ts';

export interface RehearsalFigures {
  accounts: number;
  rows: number;
  backupMs: number;
  backupMiB: number;
  times: Rehearsal['times'];
  fenceMs: number;
  obstacles: string[];
}

const passphrase = 'correct horse battery staple';

export async function benchRehearsal(options: {
  accounts: number;
  say: (text: string) => void;
}): Promise<RehearsalFigures> {
  const { accounts, say } = options;
  const folder = await mkdtemp(join(tmpdir(), 'bramble-bench-'));
  const domain = await startDomain({ archive: (await sealedArchive()).file, instances: 2, databaseSettings: {} });
  try {
    await installArchive((await workingTreeArchive()).file, { home: domain.home });
    await fill(domain, accounts);
    say(`  ${accounts} accounts, each with a device and three deliveries`);
    const { home } = domain;
    const { release } = thisRelease;
    const file = join(folder, 'bench.backup');
    const began = performance.now();
    await createBackup({ home, passphrase, release, user: 'bench', pathOf: () => file });
    const backupMs = performance.now() - began;
    say(`  backed up in ${(backupMs / 1000).toFixed(1)} s`);
    const program = { release, migrations: migrationFolder() };
    const { rows, times, obstacles } = await rehearseUpgrade({
      ...{ file, passphrase, home, program, platforms: registeredPlatforms, by: 'bench' },
    });
    const backupMiB = (await stat(file)).size / 1024 / 1024;
    return { accounts, rows, backupMs, backupMiB, times, fenceMs: fenceMs({ times }), obstacles };
  } finally {
    await domain.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function fill({ sql }: RunningDomain, count: number): Promise<void> {
  await sql`
    with added as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), 'account-' || n, 'bench', i.id
        from generate_series(1, ${count}::int) n, (select id from instance order by name limit 1) i
      returning id, name, instance_id
    ), epochs as (
      insert into account_epoch (account_id, epoch, instance_id) select id, 1, instance_id from added
    ), devices as (
      insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, udid, os_version)
      select gen_random_uuid(), id, 'token-' || name, 'apple', 'active', '', 'fingerprint-' || name, name, '18.1' from added
      returning id, account_id
    )
    insert into delivery (id, account_id, device_id, item, cause, budgeted, state, compiled_by, released_at, handed_out_at, settled_at)
    select gen_random_uuid(), account_id, id, item, 'activation', false, 'done', '1.3.0', now(), now(), now()
      from devices, unnest(array['it-policy', 'service-books', 'synchronization']) item`;
  await sql`analyze`;
}

export function describeRehearsal({
  accounts,
  rows,
  backupMs,
  backupMiB,
  times,
  obstacles,
  ...of
}: RehearsalFigures): string {
  const seconds = (ms: number | null) => (ms === null ? 'failed' : `${(ms / 1000).toFixed(1)} s`);
  return [
    `Backup and rehearsal of ${accounts} accounts (${rows} rows)`,
    `  backup     ${seconds(backupMs)}, ${backupMiB.toFixed(0)} MiB`,
    `  restored   ${seconds(times.restoreMs)}`,
    `  expanded   ${seconds(times.expandMs)}`,
    `  started    the old release in ${seconds(times.oldStartMs)}, the new one in ${seconds(times.newStartMs)}`,
    `  away       the administration would be for ${seconds(of.fenceMs)}`,
    ...obstacles.map((obstacle) => `  no go      ${obstacle}`),
  ].join('\n');
}
