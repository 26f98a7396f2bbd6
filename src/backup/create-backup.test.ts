/** What becomes of a backup is in the events of its domain. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { createMasterKeys, writeMasterKeys } from '../database/sealed-value.ts';
import { seedDomain } from '../devices/device-fixture.ts';
import { readMasterKeyState, writeMasterKeyState } from '../domain/master-key.ts';
import { readBackupHead } from './backup-file.ts';
import { createBackup } from './create-backup.ts';
import { writeHomeFiles } from './home-files.ts';

const database = await createTestDatabase();
const db = openDatabase(database.url, { applicationName: 'bramble/test', max: 1 });
const home = await mkdtemp(join(tmpdir(), 'bramble-create-backup-'));
after(async () => {
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});

before(async () => {
  await seedDomain(db);
  const configuration = { database: { url: database.url }, host: 'here', publicPort: 0, srpPort: 0 };
  await writeFile(join(home, 'config.json'), JSON.stringify(configuration));
  await writeHomeFiles(home, { 'keys/none': '' });
  await writeMasterKeys(join(home, 'keys', 'master.json'), createMasterKeys());
});

const options = { home, passphrase: 'a passphrase of the test', release: '1.4.0', user: 'ada' };
const create = async (file: string, signal?: AbortSignal) =>
  await createBackup({ ...options, pathOf: () => join(home, file), ...(signal === undefined ? {} : { signal }) });
const events = async () =>
  await db<{ kind: string; subject: string; message: string }[]>`
    select kind, subject, message from event where kind like 'backup-%' order by id`;

test('one that fails is an event that says why; one that succeeds is another', async () => {
  await assert.rejects(create('missing/domain.backup'), { code: 'ERR_BACKUP_WRITE' });
  const { head } = await create('domain.backup');
  const [failed, created, ...more] = await events();
  assert.deepEqual([failed?.kind, failed?.subject], ['backup-failed', 'here']);
  assert.match(failed?.message ?? '', /^A backup that ada was making on here failed: .*missing/);
  assert.deepEqual([created?.kind, created?.subject], ['backup-created', head.id]);
  assert.deepEqual(more, []);
});

test('one that is complete counts, also where nothing can be written about it', async (t) => {
  await db`
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no room'; end $$`;
  await db`create trigger refuse before insert on event for each row execute function refuse()`;
  t.after(async () => await db`drop function refuse cascade`);
  const { path, head } = await create('untold.backup');
  assert.equal((await readBackupHead(path)).id, head.id);
});

test('a home whose key file lacks the key that seals makes no backup', async (t) => {
  const state = await readMasterKeyState(db);
  t.after(() => writeMasterKeyState(db, state));
  await writeMasterKeyState(db, { ...state, sealing: createMasterKeys().current });
  await assert.rejects(create('former-key.backup'), { code: 'ERR_MASTER_KEY' });
  assert.deepEqual(
    (await readdir(home)).filter((name) => name.startsWith('former-key')),
    [],
  );
});

test('one that is ended on purpose, or has no good passphrase, is no event', async () => {
  const before = (await events()).length;
  await assert.rejects(create('ended.backup', AbortSignal.abort()));
  await assert.rejects(createBackup({ ...options, passphrase: 'x', pathOf: () => join(home, 'short.backup') }), {
    code: 'ERR_BACKUP_PASSPHRASE',
  });
  assert.equal((await events()).length, before);
});
