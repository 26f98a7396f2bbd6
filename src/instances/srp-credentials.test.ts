import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { SrpIdentifier } from '../base/ids.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { untilOneWaits } from '../database/waiting-fixture.ts';
import { createAuthority } from '../protocol/x509/certificate.ts';
import { createInstance, retireInstance } from './instances.ts';
import {
  clearSrpIdentifier,
  listSrpCredentials,
  raiseSrpNumbers,
  revocationList,
  revokeSrpCredential,
  takeRevocations,
} from './srp-credential-store.ts';
import { isSrpRenewalDue, issueSrpCredential, srpCredentialSerial } from './srp-credentials.ts';

const { url } = await createTestDatabase();
const made = await createAuthority({ commonName: 'test', algorithm: 'EC-P256', days: 3650 });
const authority = { certificateDer: Buffer.from(made.certificateDer), privateKeyPem: made.privateKeyPem };
const routers = [{ host: '127.0.0.1', port: 3101, serverName: 'router.test' }];
let db: Database;
let identifier: SrpIdentifier;
before(async () => {
  db = openDatabase(url, { applicationName: 'bramble/test' });
  const created = await db.begin((tx) => createInstance(tx, { name: 'east' }));
  assert.ok(created.kind === 'created');
  identifier = created.srpIdentifier;
});
after(async () => {
  await db.end();
});

async function issue() {
  const issued = await db.begin((tx) => issueSrpCredential(tx, { identifier, authority, routers }));
  assert.ok(issued !== 'not-found');
  return issued;
}

test('a credential names its identifier, is signed by the domain authority and holds its key', async () => {
  const issued = await issue();
  const certificate = new X509Certificate(issued.file.certificatePem);
  assert.equal(certificate.subject, `CN=${identifier}`);
  assert.ok(certificate.verify(new X509Certificate(issued.file.domainAuthorityPem).publicKey));
  assert.equal(srpCredentialSerial(issued.file), issued.serial);
  const days = (issued.expiresAt.getTime() - Date.now()) / 86_400_000;
  assert.ok(days > 89 && days <= 90, String(days));
  assert.equal(isSrpRenewalDue(issued.file, new Date()), false);
  assert.equal(isSrpRenewalDue(issued.file, new Date(Date.now() + 61 * 86_400_000)), true);
  assert.equal(isSrpRenewalDue(issued.file, new Date(Date.now() - 86_400_000)), true, 'made by a clock that was ahead');
  const listed = (await listSrpCredentials(db, identifier)).find((row) => row.serial === issued.serial);
  assert.equal(listed?.revokedAt, null);
  const stored = await db`select certificate::text as text from srp_credential`;
  assert.ok(!JSON.stringify(stored).includes(issued.file.privateKeyPem.slice(40, 80)));
});

test('a credential is valid at once where the clock of whoever issues it is an hour off', async (t) => {
  for (const byMs of [3_600_000, -3_600_000]) {
    const now = new Date();
    t.mock.timers.enable({ apis: ['Date'], now: now.getTime() + byMs });
    const { file } = await issue();
    t.mock.timers.reset();
    const { validFromDate } = new X509Certificate(file.certificatePem);
    assert.ok(Math.abs(validFromDate.getTime() - now.getTime()) < 1_800_000, String(validFromDate));
    assert.ok(validFromDate < now);
    assert.equal(isSrpRenewalDue(file, now), false);
  }
});

test('an identifier that nothing has gets no credential, nor does a retired instance', async () => {
  const unknown = 'S99999999' as SrpIdentifier;
  assert.equal(
    await db.begin((tx) => issueSrpCredential(tx, { identifier: unknown, authority, routers })),
    'not-found',
  );
  const spare = await db.begin((tx) => createInstance(tx, { name: 'spare' }));
  assert.ok(spare.kind === 'created');
  await db.begin((tx) => retireInstance(tx, 'spare'));
  const order = { identifier: spare.srpIdentifier, authority, routers };
  assert.equal(await db.begin((tx) => issueSrpCredential(tx, order)), 'not-found');
});

test('the list grows with each revocation and clearance, and forgets a certificate that expired', async () => {
  const before = await revocationList(db);
  const issued = await issue();
  const revoked = await db.begin((tx) => revokeSrpCredential(tx, issued.serial));
  assert.ok(revoked.kind === 'revoked' && revoked.number > before.number);
  assert.equal((await db.begin((tx) => revokeSrpCredential(tx, issued.serial))).kind, 'already-revoked');
  assert.equal((await db.begin((tx) => revokeSrpCredential(tx, 'ff'))).kind, 'not-found');
  const list = await revocationList(db);
  assert.equal(list.number, revoked.number);
  const entry = list.revoked.find((row) => row.serial === issued.serial);
  assert.deepEqual(entry, { serial: issued.serial, identifier, expiresAt: issued.expiresAt.toISOString() });
  const cleared = await db.begin((tx) => clearSrpIdentifier(tx, identifier));
  assert.ok(cleared.kind === 'cleared' && cleared.number > revoked.number);
  assert.equal((await db.begin((tx) => clearSrpIdentifier(tx, 'S99999999'))).kind, 'not-found');
  await db`update srp_credential set expires_at = now() where serial = ${issued.serial}`;
  const later = await revocationList(db);
  assert.equal(later.number, cleared.number);
  assert.ok(!later.revoked.some((row) => row.serial === issued.serial));
  assert.deepEqual(
    later.cleared.map((row) => row.identifier),
    [identifier],
  );
});

test('a number is never seen before a lower one that is still to be committed', async () => {
  const [one, two] = [await issue(), await issue()];
  let second: Promise<unknown> | undefined;
  let higher = 0;
  const held = await db.begin(async (tx) => {
    const first = await revokeSrpCredential(tx, one.serial);
    second = db.begin((other) => revokeSrpCredential(other, two.serial));
    await untilOneWaits(db);
    higher = (await revocationList(db)).number;
    return first;
  });
  assert.ok(held.kind === 'revoked' && higher < held.number);
  await second;
  const list = await revocationList(db);
  assert.ok([one.serial, two.serial].every((serial) => list.revoked.some((row) => row.serial === serial)));
});

test('a restored database takes the revocations of a later list, of certificates too that it does not know', async () => {
  const { serial } = await issue();
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString();
  const revoked = [serial, 'ab12'].map((each) => ({ serial: each, identifier, expiresAt }));
  assert.equal(await db.begin((tx) => takeRevocations(tx, revoked)), 2);
  assert.equal(await db.begin((tx) => takeRevocations(tx, revoked)), 0, 'once');
  const before = await revocationList(db);
  assert.deepEqual(
    before.revoked.filter((entry) => revoked.some((each) => each.serial === entry.serial)).map((entry) => entry.serial),
    [serial, 'ab12'],
  );
  const to = Date.now();
  await db.begin((tx) => raiseSrpNumbers(tx, to, 10));
  const raised = await revocationList(db);
  assert.deepEqual([raised.revoked, raised.number >= to], [before.revoked, true]);
  assert.equal(
    (await listSrpCredentials(db)).some((row) => row.serial.startsWith('restored')),
    false,
  );
  const again = await db.begin((tx) => clearSrpIdentifier(tx, identifier));
  assert.ok(again.kind === 'cleared' && again.number > raised.number);
});
