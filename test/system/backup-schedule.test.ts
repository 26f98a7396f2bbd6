/**
 * A host's supervisor makes the backups that are scheduled there, and somebody is told when it makes none. That its time has come is
 * written into the home, not waited for.
 */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../src/testing/condition.ts';
import { workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';

describe('scheduled backups', { timeout: 300_000 }, () => {
  let folder: string;
  let domain: RunningDomain;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bramble-schedule-'));
    await chmod(folder, 0o711);
    await writeFile(join(folder, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
    domain = await startDomain({ archive: (await workingTreeArchive()).file, instances: 1 });
  });
  after(async () => {
    await domain?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const status = async () => (await domain.command('status')).stdout;

  test('the supervisor makes up for a missed one, which is tried, and shown', async () => {
    const set = await domain.command(
      ...['backup', 'schedule', 'set', '--daily', '02:30', '--keep', '7', '--verify', '--to', folder],
      ...['--passphrase-file', join(folder, 'passphrase')],
    );
    assert.deepEqual([set.code, set.stderr], [0, '']);
    assert.match(await status(), /backups +on .*: none yet, the next at /);
    const file = join(domain.home, 'backup-schedule.json');
    const schedule = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...schedule, setAt: new Date(Date.now() - 2 * 86_400_000).toISOString() }));
    await until('the supervisor made and tried one', 120_000, async () => {
      return (await domain.sql`select from backup_schedule where good_at is not null and failure is null`).length === 1;
    });
    assert.match(await status(), /backups +on .*: the last of .*, the next at /);
    const { backups } = JSON.parse(await readFile(join(domain.home, 'backup-verified.json'), 'utf8'));
    const [made] = await domain.sql`select good_file as file from backup_schedule`;
    assert.equal(backups[0].file, made?.['file']);
    assert.equal((await domain.sql`select from event where kind = 'backup-created'`).length, 1);
  });

  test('one that nobody makes is told', async () => {
    await domain.sql`update backup_schedule set due_at = now() - interval '4 hours'`;
    await until('it is told', 60_000, async () => {
      return (await domain.sql`select from event where kind = 'backup-overdue'`).length === 1;
    });
    assert.match(await status(), /it is overdue/);
  });
});
