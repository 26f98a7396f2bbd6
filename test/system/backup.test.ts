/**
 * A backup's whole way: made while devices are served, tried, restored elsewhere, and the same devices are served by what
 * was made of it. And what cannot be restored is refused before anything is made.
 */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import postgres from 'postgres';
import { accountOperations } from '../../src/api/accounts.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { stopEmbedded } from '../../src/database/embedded/server.ts';
import { installArchive } from '../../src/release/archive.ts';
import { until } from '../../src/testing/condition.ts';
import { sealedArchive, workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { configureDomain, enrolFleet } from '../harness/preparation.ts';
import { activeDevices, commandJson, queue } from '../harness/scene.ts';

interface Verified {
  domainId: string;
  release: string;
  sha256: string;
  found: { tables: number; rows: number; started: string };
}
interface Restored {
  stopped: string[];
  possiblyRenewed: unknown[];
}
interface Status {
  restored: { paused: boolean; backup: string } | null;
}

describe('a backup of a domain', { timeout: 600_000 }, () => {
  let folder: string;
  let archive: string;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let file: string;
  let passphrase: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bramble-backup-'));
    // Under root PostgreSQL is another user, who has to pass through.
    await chmod(folder, 0o711);
    passphrase = join(folder, 'passphrase');
    await writeFile(passphrase, 'correct horse battery staple\n');
    ({ file: archive } = await workingTreeArchive());
    domain = await startDomain({ archive, instances: 2 });
    await configureDomain(domain, '127.0.0.1:9');
    const journal = join(folder, 'journal.ndjson');
    fleet = await enrolFleet(domain, { devices: 6, accounts: 6, seed: 'backup', interval: '500ms', journal });
  });
  after(async () => {
    await fleet?.stop();
    await domain?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const secret = () => ['--passphrase-file', passphrase];

  test('it is made while devices are served', async () => {
    const made = await commandJson<{ file: string; rows: number; tables: number }>(
      domain,
      ...['backup', 'create', '--to', folder, ...secret()],
    );
    file = made.file;
    assert.ok(made.tables > 45 && made.rows > 100, `${made.tables} tables, ${made.rows} rows`);
    const [event] = await domain.sql`select message from event where kind = 'backup-created'`;
    assert.match(String(event?.['message']), new RegExp(file));
    const { backups } = await commandJson<{ backups: { file: string; verifiedAt: string | null }[] }>(
      domain,
      ...['backup', 'list', folder],
    );
    assert.deepEqual(
      backups.map((backup) => [backup.file, backup.verifiedAt]),
      [[file, null]],
    );
    await untilServed(domain, fleet);
    const nowhere = await domain.command('backup', 'create', '--out', join(folder, 'no', 'folder'), ...secret());
    assert.match(nowhere.stderr, /could not be written.*ERR_BACKUP_WRITE/s);
    const failures = await domain.sql`select message from event where kind = 'backup-failed'`;
    assert.equal(failures.length, 1);
  });

  test('it is tried: restored, compared, and the release started on it', async (t) => {
    const scratch = await mkdtemp(join(tmpdir(), 'bramble-scratch-'));
    t.after(() => rm(scratch, { recursive: true, force: true }));
    // Under root PostgreSQL is another user, who has to pass through.
    await chmod(scratch, 0o711);
    const where = ['--scratch', scratch, ...secret()];
    const verified = await commandJson<Verified>(domain, 'backup', 'verify', file, ...where);
    assert.match(verified.found.started, /started on it, listed 6 accounts and 6 devices .* audit intact/);
    const [row] = await domain.sql`select domain_id, release from domain`;
    assert.deepEqual([verified.domainId, verified.release], [row?.['domain_id'], row?.['release']]);
    const recorded = JSON.parse(await readFile(join(domain.home, 'backup-verified.json'), 'utf8'));
    assert.equal(recorded.backups[0].sha256, verified.sha256);
    assert.deepEqual(await readdir(scratch), []);
  });

  test('what cannot be restored is refused before anything is made, and says what to do', async () => {
    const home = join(folder, 'refused');
    const inHome = { ...process.env, BRAMBLE_HOME: home };
    const restore = async (...args: string[]) => {
      const { code, stderr } = await domain.commandIn(inHome, 'backup', 'restore', '--yes', ...args);
      assert.notEqual(code, 0);
      assert.deepEqual(await readdir(home).catch(() => []), []);
      return stderr;
    };
    const wrong = join(folder, 'wrong');
    await writeFile(wrong, 'another passphrase\n');
    assert.match(
      await restore(file, '--passphrase-file', wrong),
      /not the one that this backup.*ERR_BACKUP_PASSPHRASE/s,
    );
    const cut = join(folder, 'cut');
    await writeFile(cut, (await readFile(file)).subarray(0, -20_000));
    assert.match(await restore(cut, ...secret()), /cut short.*Copy it again.*ERR_BACKUP_FILE/s);
    const { url } = await createTestDatabase(empty);
    await withSql(url, (sql) => sql`create table mine ()`);
    assert.match(
      await restore(file, ...secret(), '--database-url', url),
      /not empty.*Create a new, empty one.*ERR_BACKUP_TARGET/s,
    );
    const own = await domain.command('backup', 'restore', '--yes', file, ...secret());
    assert.match(own.stderr, /is not empty.*set BRAMBLE_HOME to another folder.*ERR_BACKUP_TARGET/s);
  });

  test('it is restored elsewhere, starts paused, and once resumed the same devices are served', async () => {
    const [before] = await domain.sql`
      select (select max(epoch)::float8 from account) as epoch, (select last_value::float8 from srp_number) as number`;
    const devices = await activeDevices(domain, await accountNames(domain));
    // What happens after the backup is lost, and only that.
    await domain.command('account', 'create', 'later');
    await domain.stop({ keep: true });
    const former = domain.home;

    const home = join(folder, 'restored');
    await installArchive(archive, { home });
    const restored = await commandJson<Restored>(
      {
        ...domain,
        command: async (...args) => await domain.commandIn({ ...process.env, BRAMBLE_HOME: home }, ...args),
      },
      ...['backup', 'restore', '--yes', file, ...secret()],
    );
    after(async () => {
      await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' });
      await rm(former, { recursive: true, force: true });
    });
    const serving = ['connection-1', 'connection-2', 'router-1', 'server-1', 'server-2'];
    assert.deepEqual([restored.stopped, restored.possiblyRenewed], [serving, []]);

    domain = await startDomain({ archive, home });
    const status = await commandJson<Status>(domain, 'status');
    assert.equal(status.restored?.paused, true);
    assert.match((await domain.command('status')).stdout, /paused: `bramble backup resume`/);
    const alive = await domain.sql<
      { kind: string }[]
    >`select kind from component where lease_until > now() and stopped_at is null`;
    assert.deepEqual(
      alive.map(({ kind }) => kind),
      ['administration'],
    );
    const [raised] = await domain.sql`
      select (select min(epoch)::float8 from account) as epoch, (select last_value::float8 from srp_number) as number,
             (select count(*)::int from account a where not exists (
               select from account_epoch e where e.account_id = a.id and e.epoch = a.epoch)) as unrecorded,
             (select max(list_number)::float8 from srp_credential) as list`;
    assert.ok(raised && before);
    assert.ok(raised['epoch'] > before['epoch'] && raised['number'] > before['number'] && raised['list'] > 1e12);
    assert.equal(raised['unrecorded'], 0);
    assert.equal((await domain.sql`select from account where name = 'later'`).length, 0);

    assert.deepEqual((await commandJson<{ started: string[] }>(domain, 'backup', 'resume')).started, serving);
    const again = await domain.command('backup', 'resume');
    assert.match(again.stderr, /was resumed already.*ERR_STATE/s);
    await untilServed(domain, fleet);
    const commands = [];
    for (const device of devices.slice(0, 3)) commands.push(await queue(domain, device.id));
    await assertNothingLost(domain, fleet, { enqueued: commands });
    await until('the restored audit goes on without a fault', 30_000, async () => {
      const { stdout } = await domain.command('audit', 'verify', '--json');
      return (JSON.parse(stdout) as { faults: number; pending: number }).faults === 0;
    });
    const audited = await commandJson<{ entries: { operation: string }[] }>(domain, 'audit', 'list');
    const operations = audited.entries.map(({ operation }) => operation);
    for (const operation of ['backup restore', 'backup resume']) assert.ok(operations.includes(operation), operation);
  });
});

test('this release backs up a domain of the one before, and tries it with that release', {
  timeout: 300_000,
}, async () => {
  const { file, release } = await sealedArchive();
  const domain = await startDomain({ archive: file, instances: 1 });
  after(async () => await domain.stop());
  await domain.api.call(accountOperations.create, { body: { name: 'ada' } });
  const secret = ['--passphrase-file', join(domain.home, 'passphrase')];
  await writeFile(join(domain.home, 'passphrase'), 'correct horse battery staple\n');
  const out = join(domain.home, 'before-the-upgrade.backup');
  await commandJson(domain, 'backup', 'create', '--out', out, ...secret);
  const verified = await commandJson<Verified>(domain, 'backup', 'verify', out, ...secret);
  assert.equal(verified.release, release);
  assert.match(verified.found.started, new RegExp(`service of ${release} started on it, listed 1 account `));
});

async function accountNames({ sql }: RunningDomain): Promise<string[]> {
  return (await sql<{ name: string }[]>`select name from account`).map(({ name }) => name);
}

const empty = { templateKey: 'empty', prepareTemplate: async () => undefined };

async function withSql(url: string, work: (sql: postgres.Sql) => Promise<unknown>): Promise<void> {
  const sql = postgres(url, { max: 1 });
  await work(sql).finally(async () => await sql.end({ timeout: 5 }));
}
