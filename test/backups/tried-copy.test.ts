/**
 * What is started on a copy to try a backup: an administration service and an instance of the release, which find work waiting. They
 * change nothing of the copy and reach nobody: neither routers, nor the push service, nor anybody who is told. The same processes on a
 * copy that is not isolated reach all four, so that the listeners are the right ones.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createToken } from '../../src/access/administrator-tokens.ts';
import { openBackup } from '../../src/backup/backup-file.ts';
import { writeHomeFiles } from '../../src/backup/home-files.ts';
import { findInstance, startInstanceOn } from '../../src/backup/instance-on-copy.ts';
import { homeFilesOf, rebuildDatabase } from '../../src/backup/rebuild-database.ts';
import { startReleaseOn } from '../../src/backup/release-on-copy.ts';
import { tryRelease } from '../../src/backup/release-trial.ts';
import { type Database, openDatabase } from '../../src/database/connection.ts';
import { withSnapshot } from '../../src/database/copy/snapshot.ts';
import { digestOf } from '../../src/database/copy/table-digest.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { hasTable } from '../../src/database/has-table.ts';
import { readMasterKeys } from '../../src/database/sealed-value.ts';
import { seedCommand, seedDevice } from '../../src/devices/device-fixture.ts';
import { writeSetting } from '../../src/domain/settings.ts';
import { setMailServer } from '../../src/notices/mail-server-store.ts';
import { addTarget } from '../../src/notices/target-store.ts';
import { migrationFolder } from '../../src/release/program.ts';
import { thisRelease } from '../../src/release/this-release.ts';
import { until } from '../../src/testing/condition.ts';
import { type BuiltArchive, sealedArchive, workingTreeArchive } from '../harness/archives.ts';
import { passphrase, type StillDomain, stillDomain } from '../harness/still-domain.ts';

const program = { release: thisRelease.release, migrations: migrationFolder() };
const limited = { timeout: 300_000 };

/** Counts who comes, and says nothing. */
async function listener(port = 0): Promise<{ port: number; callers: () => number }> {
  let callers = 0;
  const server = createServer((socket) => {
    callers += 1;
    socket.on('error', () => {});
    socket.end();
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  after(() => server.close());
  return { port: (server.address() as AddressInfo).port, callers: () => callers };
}

/** Everybody whom processes of the domain reach. */
async function outside({ home }: StillDomain) {
  const { srpPort } = JSON.parse(await readFile(join(home, 'config.json'), 'utf8')) as { srpPort: number };
  return { router: await listener(srpPort), push: await listener(), hook: await listener(), mail: await listener() };
}

type Outside = Awaited<ReturnType<typeof outside>>;
const calls = (all: Outside) => Object.fromEntries(Object.entries(all).map(([name, { callers }]) => [name, callers()]));

/** A device to be woken, deliveries that are owed, somebody to be told, and what is to be told. */
async function fill({ home, databaseUrl }: StillDomain, { push, hook, mail }: Outside): Promise<void> {
  const keys = await readMasterKeys(join(home, 'keys', 'master.json'));
  await withDatabase(databaseUrl, async (db) => {
    const [instance] = await db<{ id: never }[]>`select id from instance`;
    const device = await seedDevice(db, instance?.id as never, 'ada');
    await db`update device set push_token = '\\x01', push_magic = 'magic'`;
    await seedCommand(db, device, { item: 'it-policy' });
    await db`
      insert into delivery (id, account_id, device_id, item, cause, budgeted, state)
      values (gen_random_uuid(), ${device.accountId}, ${device.deviceId}, 'synchronization', 'move', true, 'owed')`;
    await writeSetting(db, 'push', { url: `http://127.0.0.1:${push.port}` });
    if (!(await hasTable(db, 'notice_target'))) return;
    await db.begin(async (tx) => {
      const key = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
      await addTarget(tx, keys, { channel: 'webhook', url: `http://127.0.0.1:${hook.port}/`, key, kinds: null });
      await addTarget(tx, keys, { channel: 'mail', addresses: ['ops@example.org'], kinds: null });
      await setMailServer(tx, keys, {
        ...{ host: '127.0.0.1', port: mail.port, security: 'none', sender: 'bramble@example.org' },
        ...{ username: null, caPem: null },
      });
      await tx`insert into event (kind, subject, message) values ('backup-failed', 'berlin', 'to be told')`;
    });
  });
}

async function withDatabase<Result>(url: string, work: (db: Database) => Promise<Result>): Promise<Result> {
  const db = openDatabase(url, { applicationName: 'bramble/test', max: 1 });
  try {
    return await work(db);
  } finally {
    await db.end({ timeout: 5 });
  }
}

/** A backup of the domain, restored as `bramble backup verify` does. */
async function copyOf(domain: StillDomain) {
  const file = join(domain.folder, 'tried.backup');
  const made = await domain.command('backup', 'create', '--out', file, ...domain.secret);
  assert.equal(made.code, 0, made.stderr);
  const { url: databaseUrl } = await createTestDatabase({
    templateKey: 'empty',
    prepareTemplate: async () => undefined,
  });
  const backup = await openBackup(file, passphrase);
  await rebuildDatabase(databaseUrl, backup, program);
  const homeOf = async () => {
    const home = await mkdtemp(join(domain.folder, 'copy-'));
    await mkdir(home, { recursive: true });
    await writeHomeFiles(home, await homeFilesOf(backup));
    return home;
  };
  return { databaseUrl, homeOf, release: backup.head.domain.release, releases: join(domain.home, 'releases') };
}

async function digests(url: string): Promise<Map<string, string>> {
  return await withSnapshot(url, { applicationName: 'bramble/test' }, async (snapshot) => {
    const found = new Map<string, string>();
    for (const table of snapshot.tables) found.set(table.name, JSON.stringify(await digestOf(snapshot, table)));
    return found;
  });
}

async function tried({ release, file }: BuiltArchive, changed: readonly string[]): Promise<Outside> {
  const domain = await stillDomain(file);
  const all = await outside(domain);
  await fill(domain, all);
  const { homeOf, ...copy } = await copyOf(domain);
  const before = await digests(copy.databaseUrl);
  const said = await tryRelease({ ...copy, home: await homeOf() });
  assert.match(
    said,
    new RegExp(
      `service of ${release} started on it, listed 1 account and 1 device .*its instance .* policy service worked`,
    ),
  );
  const now = await digests(copy.databaseUrl);
  assert.deepEqual(
    [...now.keys()].filter((name) => now.get(name) !== before.get(name)).sort(),
    [...changed].sort(),
    'what isolates it, its registration, and seals of the audit',
  );
  assert.deepEqual(calls(all), { router: 0, push: 0, hook: 0, mail: 0 });
  return all;
}

const isolated = [
  ...['administrator_token', 'audit_record', 'audit_seal', 'component', 'device'],
  ...['notice', 'notice_target', 'router'],
];
const sealed = await sealedArchive();
const tree = await workingTreeArchive();

test('the release before changes nothing of the copy, and reaches nobody', limited, async () => {
  await tried(sealed, isolated);
});

test('this release changes nothing of the copy, and reaches nobody', limited, async () => {
  await tried(tree, isolated);
});

test('on a copy that is not isolated they reach everybody', limited, async () => {
  const domain = await stillDomain(tree.file);
  const all = await outside(domain);
  await fill(domain, all);
  const { homeOf, ...copy } = await copyOf(domain);
  const home = await homeOf();
  await withDatabase(copy.databaseUrl, async (db) => {
    const token = await createToken(db, 'test');
    await startReleaseOn({ ...copy, home, token }, (what) => new Error(what));
    const instance = await findInstance(db, home);
    assert.ok(instance);
    await startInstanceOn({ ...copy, db, home }, instance, (what) => new Error(what));
  });
  await until('everybody was reached', 10_000, async () => Object.values(calls(all)).every((count) => count > 0));
});
