/** A host's schedule of backups: what is refused when it is set, what a run does, and what is told when one fails. */
import assert from 'node:assert/strict';
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { runScheduledBackup } from '../../src/backup/scheduled-backup.ts';
import { birthOf } from '../../src/base/process-facts.ts';
import { migrationFolder } from '../../src/release/program.ts';
import { thisRelease } from '../../src/release/this-release.ts';
import { passphrase, stillDomain } from '../harness/still-domain.ts';

interface Shown {
  missingHere: boolean;
  hosts: { host: string; goodFile: string | null; failure: string | null }[];
}

// Of this process and of the commands that it runs.
process.env['TZ'] = 'Europe/Berlin';
const domain = await stillDomain();

describe('a schedule of backups', { timeout: 300_000 }, () => {
  const schedule = async (...args: string[]) => await domain.command('backup', 'schedule', ...args);
  const set = async (...more: string[]) =>
    await schedule('set', '--daily', '02:30', '--to', domain.folder, ...domain.secret, ...more);
  const show = async () => {
    const { code, stdout } = await schedule('show', '--json');
    return { code, shown: JSON.parse(stdout) as Shown };
  };
  const backups = async () => (await readdir(domain.folder)).filter((name) => name.endsWith('.backup')).sort();
  const unverified = async () => (await readdir(domain.folder)).filter((name) => name.endsWith('.unverified'));
  const lastFailure = async () => {
    const [event] = await domain.sql`select message from event where kind = 'backup-failed' order by id desc limit 1`;
    return String(event?.['message']);
  };

  test('what a run would fail of is refused when it is set', async () => {
    const { folder, passphraseFile } = domain;
    await chmod(passphraseFile, 0o640);
    assert.match((await set()).stderr, /Others may read .*chmod 600.*ERR_BACKUP_PASSPHRASE/s);
    await chmod(passphraseFile, 0o600);
    const [short, empty] = [join(folder, 'short'), join(folder, 'empty')];
    await writeFile(short, 'too short\n', { mode: 0o600 });
    await writeFile(empty, '\n', { mode: 0o600 });
    assert.match((await set('--passphrase-file', short)).stderr, /has 9 characters.*ERR_BACKUP_PASSPHRASE/s);
    assert.match((await set('--passphrase-file', empty)).stderr, /first line .* is empty.*ERR_BACKUP_PASSPHRASE/s);
    assert.match((await set('--to', join(folder, 'nowhere'))).stderr, /no such file.*Nothing was set.*ERR_INPUT/s);
    assert.match((await set('--daily', '2:30')).stderr, /hours and minutes/);
    assert.deepEqual((await show()).shown.hosts, []);
    assert.match((await schedule('off')).stderr, /No backups are scheduled.*ERR_NOT_FOUND/s);
    assert.match((await schedule('run')).stderr, /schedule set.*ERR_STATE/s);
  });

  test('a run makes a backup and tries it; where the passphrase lies is in the home alone', async () => {
    const { code, stdout } = await set('--keep', '2', '--verify');
    assert.equal(code, 0);
    assert.match(stdout, /every day at 02:30, for the first time at/);
    assert.match((await schedule('run', '--due')).stdout, /not time/);
    const run = await schedule('run');
    assert.deepEqual([run.code, run.stderr], [0, '']);
    assert.match(run.stdout, /\.backup was made and tried, and is good\.$/m);
    const [file = ''] = await backups();
    const after = await show();
    assert.deepEqual([after.code, after.shown.hosts[0]?.goodFile], [0, join(domain.folder, file)]);
    assert.match((await schedule()).stdout, /^berlin +02:30 Europe\/Berlin +.*, the newest 2 +each +\d{4}-/m);
    const [text] =
      await domain.sql`select (select json_agg(s) from backup_schedule s)::text || (select json_agg(r) from audit_record r)::text as all`;
    assert.match(String(text?.['all']), /backup schedule set/);
    for (const secret of [passphrase, domain.passphraseFile])
      assert.equal(String(text?.['all']).includes(secret), false);
  });

  test('how far a run is is told on its way', async () => {
    const steps = new Set<string>();
    const run = await runScheduledBackup({
      ...{ home: domain.home, user: 'ada', onlyIfDue: false },
      program: { release: thisRelease.release, migrations: migrationFolder() },
      onCopying: () => steps.add('copying'),
      onVerifying: (step) => steps.add(step),
    });
    assert.equal(run.outcome, 'passed');
    assert.deepEqual([...steps], ['copying', 'reading', 'restoring', 'comparing', 'starting']);
  });

  test('old ones go, but only behind one that passed', async () => {
    await schedule('run');
    await schedule('run');
    const good = await backups();
    assert.deepEqual([good.length, await unverified()], [2, []]);
    const scratch = join(domain.folder, 'no-scratch');
    await set('--keep', '1', '--verify', '--scratch', scratch);
    assert.notEqual((await schedule('run')).code, 0);
    const [first] = await unverified();
    assert.notEqual((await schedule('run')).code, 0);
    assert.deepEqual(await backups(), good, 'the earlier ones stay, and those that did not pass count for nothing');
    const [second, ...more] = await unverified();
    assert.ok(first !== undefined && second !== undefined && first !== second);
    assert.deepEqual(more, [], 'the last one stays');
    const { code, shown } = await show();
    assert.deepEqual([code, shown.hosts[0]?.failure?.includes(scratch)], [1, true]);
    assert.match(await lastFailure(), /The backup .* did not pass when .* tried it on berlin: .*no-scratch/);
  });

  test('whatever stops a run is told: a passphrase that is gone, a folder that is not mounted', async () => {
    await set();
    await rm(domain.passphraseFile);
    assert.match((await schedule('run')).stderr, /passphrase" cannot be read.*ERR_INPUT/s);
    assert.match(await lastFailure(), /failed: .*passphrase" cannot be read/);
    await writeFile(domain.passphraseFile, `${passphrase}\n`, { mode: 0o600 });
    const file = join(domain.home, 'backup-schedule.json');
    const stored = JSON.parse(await readFile(file, 'utf8'));
    await writeFile(file, JSON.stringify({ ...stored, onOtherFileSystem: true }));
    assert.match((await schedule('run')).stderr, /was on a file system of its own.*mount it.*ERR_BACKUP_WRITE/s);
    await writeFile(file, JSON.stringify({ ...stored, folder: join(domain.folder, 'gone') }));
    assert.match((await schedule('run')).stderr, /could not be written.*ERR_BACKUP_WRITE/s);
    await writeFile(file, JSON.stringify(stored));
    assert.equal((await schedule('run')).code, 0);
    assert.equal((await show()).code, 0);
  });

  test('one at a time; one that died holds nothing up', async () => {
    const stranger = { pid: process.pid, birth: await birthOf(process.pid), release: '1.4.0' };
    await writeFile(join(domain.home, 'backup.lock.1000'), JSON.stringify(stranger));
    assert.match((await schedule('run')).stderr, /is at work in .*Wait until it has ended.*ERR_ALREADY_RUNNING/s);
    await writeFile(join(domain.home, 'backup.lock.1000'), JSON.stringify({ ...stranger, birth: 'another' }));
    assert.equal((await schedule('run')).code, 0);
  });

  test('a home that lost its schedule says so, and off is off, also for a host that is gone', async () => {
    await rm(join(domain.home, 'backup-schedule.json'));
    const { code, shown } = await show();
    assert.deepEqual([code, shown.missingHere], [1, true]);
    assert.match((await schedule()).stdout, /has no schedule: `bramble backup schedule set`/);
    await domain.sql`insert into backup_schedule (host, daily, zone, folder, verifies, set_by, due_at) values ('gone', '01:00', 'UTC', '/x', false, 'ada', now())`;
    assert.equal((await schedule('off', '--host', 'gone')).code, 0);
    assert.equal((await schedule('off')).code, 0);
    assert.deepEqual((await show()).shown.hosts, []);
  });
});
