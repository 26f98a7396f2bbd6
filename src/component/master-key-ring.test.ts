/** The key file as a running process follows it. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { rotateMasterKeys } from '../database/master-keys-fixture.ts';
import { createMasterKeys, openValue, readMasterKeys, sealValue, writeMasterKeys } from '../database/sealed-value.ts';
import { writeMasterKeyState } from '../domain/master-key.ts';
import { silentLogger } from '../process/log/logger.ts';
import { until } from '../testing/condition.ts';
import { masterKeyPath, openMasterKeyRing } from './master-key-ring.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 3 });
const home = await mkdtemp(join(tmpdir(), 'bramble-ring-'));
const path = masterKeyPath(home);
await mkdir(join(home, 'keys'));
after(async () => {
  await db.end({ timeout: 5 });
  await rm(home, { recursive: true, force: true });
});
const choose = async (sealing: string | null) =>
  await writeMasterKeyState(db, { sealing, next: null, settledAt: null, removed: [] });

test('a key that comes into the file is held, and seals when the domain has chosen it', async (t) => {
  const before = createMasterKeys();
  await writeMasterKeys(path, before, 'w');
  const ring = await openMasterKeyRing({ db, home, log: silentLogger });
  const stopping = new AbortController();
  const running = ring.run(stopping.signal);
  t.after(async () => {
    stopping.abort();
    await running;
  });
  const sealed = sealValue(ring, 'place', Buffer.from('value'));
  const rotated = rotateMasterKeys(before);
  await writeMasterKeys(path, { current: before.current, keys: rotated.keys }, 'w');
  await writeMasterKeyState(db, { sealing: null, next: rotated.current, settledAt: null, removed: [] });
  await until('both are held', 60_000, () => ring.detail().masterKeys?.held.length === 2);
  assert.equal(ring.current, before.current);
  await choose(rotated.current);
  await until('the new one seals', 60_000, () => ring.current === rotated.current);
  assert.equal(openValue(ring, 'place', sealed.ciphertext, sealed.keyId).toString(), 'value');
});

test('a chosen key that the file lacks does not seal, and a damaged file leaves the known keys', async () => {
  const keys = createMasterKeys();
  await writeMasterKeys(path, keys, 'w');
  await choose('of-another-home');
  const ring = await openMasterKeyRing({ db, home, log: silentLogger });
  assert.equal(ring.current, keys.current);
  await writeFile(path, '{');
  await assert.rejects(ring.reread(), { code: 'ERR_MASTER_KEY' });
  const { ciphertext, keyId } = sealValue(ring, 'place', Buffer.from('value'));
  assert.equal(openValue(keys, 'place', ciphertext, keyId).toString(), 'value');
});

test('a key that was removed elsewhere goes from the file of this home, once the chosen one seals here', async () => {
  const before = createMasterKeys();
  const { current: sealing, keys } = rotateMasterKeys(before);
  await writeMasterKeys(path, before, 'w');
  const ring = await openMasterKeyRing({ db, home, log: silentLogger });
  const removed = [before.current, 'of-nobody'];
  await writeMasterKeyState(db, { sealing, next: null, settledAt: null, removed });
  await ring.reread();
  assert.deepEqual([...(await readMasterKeys(path)).keys.keys()], [before.current]);
  await writeMasterKeys(path, { current: before.current, keys }, 'w');
  await ring.reread();
  const file = await readMasterKeys(path);
  assert.deepEqual([file.current, [...file.keys.keys()], [...ring.keys.keys()]], [sealing, [sealing], [sealing]]);
});
