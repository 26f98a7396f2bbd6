import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isBrambleError } from '../base/errors.ts';
import { openDatabase } from '../database/connection.ts';
import { createEarlierTestDatabase, createTestDatabase } from '../database/database-fixture.ts';
import { migrate } from '../database/migrate.ts';
import { createMasterKeys } from '../database/sealed-value.ts';
import { isIssuedBy } from '../protocol/x509/certificate-chain.ts';
import { loadAuthorities, loadInstanceAuthorities, loadRouteSigner, storeAuthority } from './authorities.ts';
import { createAuthorities, createMissingSigners, generateAuthorities } from './authority-creation.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/test' });
const keys = createMasterKeys();
const migrationFolder = fileURLToPath(new URL('../../sql', import.meta.url));
after(async () => {
  await db.end();
});

const domain = { name: 'Example' };
const names = async () =>
  (await db<{ name: string }[]>`select name from authority order by name`).map((row) => row.name);

test('the authorities of a domain are stored sealed and load under the same master key only', async () => {
  const made = await db.begin((tx) => createAuthorities(tx, keys, domain));
  assert.deepEqual(await names(), ['device', 'domain', 'profile-signer', 'registration', 'route-signer']);
  const loaded = await loadAuthorities(db, keys);
  for (const name of ['domain', 'device'] as const) {
    assert.deepEqual(Buffer.from(loaded[name].certificateDer), made[name].certificateDer);
    assert.equal(loaded[name].privateKeyPem, made[name].privateKeyPem);
  }
  assert.equal(new X509Certificate(made.domain.certificateDer).publicKey.asymmetricKeyType, 'ec');
  assert.equal(new X509Certificate(made.device.certificateDer).publicKey.asymmetricKeyType, 'rsa');
  const others = { current: keys.current, keys: createMasterKeys().keys };
  for (const load of [loadAuthorities, loadInstanceAuthorities]) {
    await assert.rejects(
      load(db, others),
      (error) => isBrambleError(error, 'ERR_MASTER_KEY') || isBrambleError(error, 'ERR_SEALED_VALUE'),
    );
  }
});

test('they are valid at once where the clock of whoever makes them is an hour ahead', async (t) => {
  const now = new Date();
  t.mock.timers.enable({ apis: ['Date'], now: now.getTime() + 3_600_000 });
  const rollback = new Error('made');
  const begun: Date[] = [];
  await assert.rejects(
    db.begin(async (tx) => {
      await tx`delete from authority`;
      await tx`delete from domain_key`;
      await createAuthorities(tx, keys, domain);
      for (const { certificate } of await tx<{ certificate: Buffer }[]>`select certificate from authority`)
        begun.push(new X509Certificate(certificate).validFromDate);
      throw rollback;
    }),
    rollback,
  );
  t.mock.timers.reset();
  assert.equal(begun.length, 5);
  assert.ok(begun.every((at) => at < now));
});

test('registration authority and profile signer are below the device authority, and none outlasts it', async () => {
  const { device, registration, profileSigner, domainCertificateDer } = await loadInstanceAuthorities(db, keys);
  const root = new X509Certificate(device.certificateDer);
  for (const signer of [registration, profileSigner]) {
    const certificate = new X509Certificate(signer.certificateDer);
    assert.ok(isIssuedBy(signer.certificateDer, device.certificateDer, new Date()) && !certificate.ca);
    assert.ok(certificate.validToDate <= root.validToDate);
    assert.notEqual(signer.privateKeyPem, device.privateKeyPem);
  }
  assert.ok(new X509Certificate(domainCertificateDer).ca);
});

test('a domain of an earlier release gets what it lacks, once, whichever component asks and however often', async () => {
  await db`delete from authority where name in ('registration', 'profile-signer', 'route-signer')`;
  const before = await loadInstanceAuthorities(db, keys);
  assert.equal(before.registration, before.device, 'the device authority stands in');
  assert.equal(before.profileSigner, before.device);
  const rivals = await Promise.all([1, 2, 3].map(() => createMissingSigners(db, keys, domain)));
  assert.deepEqual(rivals.flat().sort(), ['profile-signer', 'registration', 'route-signer']);
  const made = await loadInstanceAuthorities(db, keys);
  assert.deepEqual(await createMissingSigners(db, keys, domain), []);
  assert.deepEqual(await loadInstanceAuthorities(db, keys), made);
  assert.deepEqual(made.device, before.device);
});

test('nothing is made where there is no domain yet', async () => {
  await db`delete from authority`;
  await db`delete from domain_key`;
  assert.deepEqual(await createMissingSigners(db, keys, domain), []);
  await assert.rejects(loadInstanceAuthorities(db, keys), { code: 'ERR_NO_DOMAIN' });
});

test('as 1.1.0 left it the domain authority’s key is found too, and moves with the upgrade of the schema', async () => {
  const sealed = await createEarlierTestDatabase(8);
  const old = openDatabase(sealed.url, { applicationName: 'bramble/test', max: 1 });
  const roots = await generateAuthorities(domain);
  for (const name of ['domain', 'device'] as const) await storeAuthority(old, keys, name, roots[name]);
  assert.equal((await loadAuthorities(old, keys)).domain.privateKeyPem, roots.domain.privateKeyPem, 'before it');

  const migration = { folder: migrationFolder, release: 'test', applicationName: 'bramble/test' };
  await migrate(sealed.url, { ...migration, contract: false });
  await createMissingSigners(old, keys, domain);
  assert.equal((await loadRouteSigner(old, keys)).name, 'domain', 'routers of 1.1 may ask');
  await migrate(sealed.url, { ...migration, contract: true });
  assert.equal((await loadAuthorities(old, keys)).domain.privateKeyPem, roots.domain.privateKeyPem, 'after it');
  assert.equal((await loadRouteSigner(old, keys)).name, 'route-signer');
  const [row] = await old`select private_key from authority where name = 'domain'`;
  assert.equal(row?.['private_key'], null);
  await old.end();
});
