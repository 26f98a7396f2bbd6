/** Backups of a domain in an external PostgreSQL, where nobody is a superuser. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { addressOfDatabase } from '../base/database-address.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { readRestored } from '../domain/restored-domain.ts';
import { migrationFolder } from '../release/program.ts';
import { thisRelease } from '../release/this-release.ts';
import { createDomain } from '../setup/create-domain.ts';
import { createBackup } from './create-backup.ts';
import { checkRestore, restoreBackup } from './restore-backup.ts';
import { resumeRestored } from './restored-domain.ts';
import { whyUnusable } from './unused-database.ts';

const program = { release: thisRelease.release, migrations: migrationFolder() };
const passphrase = 'correct horse battery staple';
const empty = { templateKey: 'empty', prepareTemplate: async () => undefined };

/** A role that may log in and nothing else; the address with it. */
async function createRole(db: Database, url: string): Promise<{ role: string; url: string }> {
  const [role, password] = [`test_role_${randomBytes(6).toString('hex')}`, randomBytes(12).toString('hex')];
  await db.unsafe(`create role ${role} login nosuperuser password '${password}'`);
  return { role, url: Object.assign(new URL(url), { username: role, password }).href };
}

function opened(t: TestContext, url: string): Database {
  const db = openDatabase(url, { applicationName: 'bramble/test', max: 1 });
  t.after(async () => await db.end({ timeout: 5 }));
  return db;
}

test('it is made with the coordinator’s role, and restored by the owner of a database', {
  timeout: 120_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-external-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  const home = join(folder, 'home');
  const { url } = await createTestDatabase(empty);
  const db = opened(t, url);
  await mkdir(home);
  await createDomain({
    ...{
      home,
      databaseUrl: url,
      sqlFolder: migrationFolder(),
      release: program.release,
      name: 'Example',
      host: 'here',
    },
    ...{ publicHost: 'mdm.example.org', publicPort: 8443, srpPort: 3101, tunnelHost: 'tunnel.example.org' },
    ...{ wakeChannel: 'com.apple.mgmt.External.example', instances: 1, administrationServices: 1 },
    databaseRoles: true,
  });
  const finder = await createRole(db, url);
  const configuration = { host: 'here', publicPort: 8443, srpPort: 3101 };
  await writeFile(join(home, 'config.json'), JSON.stringify({ ...configuration, database: { url: finder.url } }));
  const path = join(folder, 'example.backup');
  const made = await createBackup({ home, passphrase, release: program.release, user: 'ada', pathOf: () => path });
  const [tokens] = await db`select count(*)::int as count from administrator_token`;
  assert.deepEqual([made.head.domain.name, tokens?.['count']], ['Example', 1]);
  assert.equal((await db`select from event where kind = 'backup-created'`).length, 1);

  const { url: other, name } = await createTestDatabase(empty);
  const owner = await createRole(db, other);
  const target = opened(t, other);
  await target.unsafe(`alter database ${name} owner to ${owner.role}`);
  const again = join(folder, 'again');
  const restoring = { file: path, passphrase, home: again, program, user: 'bea', databaseUrl: owner.url };
  const restored = await restoreBackup(await checkRestore(restoring));
  assert.deepEqual(restored.stopped, ['connection-1', 'router-1', 'server-1']);
  assert.equal((await target`select from administrator_token`).length, 1);
  const written = JSON.parse(await readFile(join(again, 'config.json'), 'utf8'));
  assert.deepEqual([written.database, written.host], [{ url: owner.url }, 'here']);
  await assert.rejects(readFile(join(again, 'database', 'server.json')), { code: 'ENOENT' });
  await assert.rejects(checkRestore({ ...restoring, home: join(folder, 'third') }), {
    code: 'ERR_BACKUP_TARGET',
    message: /into that database: it is not empty: it holds a domain already/,
  });
  await resumeRestored(owner.url, { user: 'bea', host: 'here' });
  assert.equal((await readRestored(target))?.stopped, null);
});

test('one that cannot be reached, or does not admit the user, is named', async () => {
  const nowhere = whyUnusable('postgres://a:secret@127.0.0.1:1/none', 'bramble/test', 0);
  const message = /cannot be reached at 127\.0\.0\.1:1\/none: .*ECONNREFUSED.* Nothing was changed\.$/;
  await assert.rejects(nowhere, { code: 'ERR_DATABASE_UNAVAILABLE', message });
  const { url } = await createTestDatabase(empty);
  const unknown = await whyUnusable(addressOfDatabase(url, 'none'), 'bramble/test', 0);
  assert.match(unknown?.why ?? '', /answers: database "none" does not exist/);
});
