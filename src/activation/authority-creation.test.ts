import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { isBrambleError } from '../base/errors.ts';
import { openDatabase } from '../database/connection.ts';
import { createMasterKeys } from '../database/sealed-value.ts';
import { createTestDatabase } from '../database/test-database.ts';
import { loadAuthorities } from '../domain/authorities.ts';
import { createAuthorities } from './authority-creation.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/test' });
after(async () => {
  await db.end();
});

test('the authorities of a domain are stored sealed and load under the same master key only', async () => {
  const keys = createMasterKeys();
  const made = await db.begin((tx) => createAuthorities(tx, keys, { name: 'Example' }));
  const loaded = await loadAuthorities(db, keys);
  for (const name of ['domain', 'device'] as const) {
    assert.deepEqual(Buffer.from(loaded[name].certificateDer), made[name].certificateDer);
    assert.equal(loaded[name].privateKeyPem, made[name].privateKeyPem);
  }
  assert.equal(new X509Certificate(made.domain.certificateDer).publicKey.asymmetricKeyType, 'ec');
  assert.equal(new X509Certificate(made.device.certificateDer).publicKey.asymmetricKeyType, 'rsa');
  await assert.rejects(
    loadAuthorities(db, { current: keys.current, keys: createMasterKeys().keys }),
    (error) => isBrambleError(error, 'ERR_MASTER_KEY') || isBrambleError(error, 'ERR_SEALED_VALUE'),
  );
});
