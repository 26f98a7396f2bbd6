import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { rotateMasterKeys } from './master-keys-fixture.ts';
import { createMasterKeys, openValue, readMasterKeys, sealValue, writeMasterKeys } from './sealed-value.ts';

const keys = createMasterKeys();
const changed = { code: 'ERR_SEALED_VALUE' };

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-keys-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

test('what was sealed opens in its place, and no two ciphertexts are the same', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.string(), (plain, place) => {
      const { ciphertext, keyId } = sealValue(keys, place, plain);
      assert.deepEqual(openValue(keys, place, ciphertext, keyId), Buffer.from(plain));
      assert.notDeepEqual(sealValue(keys, place, plain).ciphertext, ciphertext);
    }),
  );
});

test('a value that was put into another place, changed anywhere or cut does not open', () => {
  const { ciphertext, keyId } = sealValue(keys, 'device/unlock_token/1', Buffer.from('secret'));
  assert.throws(() => openValue(keys, 'device/unlock_token/2', ciphertext, keyId), changed);
  for (let index = 0; index < ciphertext.length; index++) {
    const other = Buffer.from(ciphertext);
    other.writeUInt8(other.readUInt8(index) ^ 1, index);
    assert.throws(() => openValue(keys, 'device/unlock_token/1', other, keyId), changed, `byte ${index}`);
    const cut = ciphertext.subarray(0, index);
    assert.throws(() => openValue(keys, 'device/unlock_token/1', cut, keyId), changed, `cut at ${index}`);
  }
});

test('another key does not open it, under its own id or under the same one', () => {
  const { ciphertext, keyId } = sealValue(keys, 'p', Buffer.from('secret'));
  assert.throws(() => openValue(createMasterKeys(), 'p', ciphertext, keyId), { code: 'ERR_MASTER_KEY' });
  const [stranger] = createMasterKeys().keys.values();
  assert.ok(stranger);
  const posing = { current: keyId, keys: new Map([[keyId, stranger]]) };
  assert.throws(() => openValue(posing, 'p', ciphertext, keyId), changed);
});

test('after rotations, one at once after another, old values open and new ones are under the new key', () => {
  let rotated = keys;
  const sealed = [sealValue(rotated, 'p', Buffer.from('0'))];
  for (let n = 1; n < 20; n++) {
    rotated = rotateMasterKeys(rotated);
    sealed.push(sealValue(rotated, 'p', Buffer.from(String(n))));
  }
  assert.equal(rotated.keys.size, 20);
  assert.equal(new Set(sealed.map(({ keyId }) => keyId)).size, 20);
  const plain = sealed.map(({ ciphertext, keyId }) => openValue(rotated, 'p', ciphertext, keyId).toString());
  assert.deepEqual(plain, [...Array(20).keys()].map(String));
});

test('a key file is its owner’s alone, comes back as written and is not overwritten unless asked', async (t) => {
  const folder = await newFolder(t);
  const path = join(folder, 'master.json');
  await writeMasterKeys(path, keys);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readMasterKeys(path), keys);
  const rotated = rotateMasterKeys(keys);
  await assert.rejects(writeMasterKeys(path, rotated), { code: 'EEXIST' });
  assert.deepEqual(await readMasterKeys(path), keys);
  await writeMasterKeys(path, rotated, 'w');
  assert.deepEqual(await readMasterKeys(path), rotated);
  assert.deepEqual(await readdir(folder), ['master.json'], 'nothing is left beside it');
});

test('of several that write the first key file at once, one wins and the others find it whole', async (t) => {
  const path = join(await newFolder(t), 'master.json');
  const written = await Promise.allSettled(
    Array.from({ length: 8 }, async () => {
      const own = createMasterKeys();
      await writeMasterKeys(path, own);
      return own;
    }),
  );
  const winners = written.filter((outcome) => outcome.status === 'fulfilled');
  assert.equal(winners.length, 1);
  assert.deepEqual(await readMasterKeys(path), winners[0]?.value);
});

test('a missing or damaged key file says so', async (t) => {
  const path = join(await newFolder(t), 'master.json');
  await assert.rejects(readMasterKeys(path), { code: 'ERR_MASTER_KEY' });
  await writeMasterKeys(path, keys);
  const text = await readFile(path, 'utf8');
  for (const damaged of [text.slice(0, 20), '{}', '{"current":"a","keys":{"a":"?"}}']) {
    await writeFile(path, damaged);
    await assert.rejects(readMasterKeys(path), { code: 'ERR_MASTER_KEY' }, damaged);
  }
});
