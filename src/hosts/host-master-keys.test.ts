/** A new master key on its way to a host: only that host can read it, and only an administration service can have sent it. */
import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { createAuthority } from '../protocol/x509/certificate.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { writeHostKey } from './host-key.ts';
import { offeredMasterKey } from './host-master-keys.ts';
import { insertHost, removeHost } from './host-store.ts';
import { offerMasterKey, withdrawMasterKeys } from './master-key-offers.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 2 });
const homes: string[] = [];
after(async () => {
  await db.end({ timeout: 5 });
  for (const home of homes) await rm(home, { recursive: true, force: true });
});
const authorityOf = async (commonName: string) => {
  const made = await createAuthority({ commonName, organization: 'Example', algorithm: 'EC-P256', days: 30 });
  return { pem: new X509Certificate(made.certificateDer).toString(), privateKeyPem: made.privateKeyPem };
};
const authority = await authorityOf('domain authority');

/** A host that joined; its home. */
async function joined(name: string): Promise<string> {
  const { publicKey, privateKey } = await createEcKeyPair();
  const home = await mkdtemp(join(tmpdir(), 'bramble-host-'));
  homes.push(home);
  await mkdir(join(home, 'keys'));
  await writeHostKey(home, { privateKeyPem: privateKeyPemOf(privateKey), domainAuthorityPem: authority.pem });
  await db.begin((tx) => insertHost(tx, { name, publicKey: spkiDerOf(publicKey), administers: false }));
  return home;
}
const [berlin, hamburg] = [await joined('berlin'), await joined('hamburg')];
const offered = { keyId: 'k2', key: randomBytes(32) };
const offer = async (privateKeyPem = authority.privateKeyPem) =>
  await db.begin((tx) => offerMasterKey(tx, offered, privateKeyPem));
const taken = async (home: string, host: string, keyId = 'k2') => await offeredMasterKey(db, { home, host, keyId });
const refused = { code: 'ERR_MASTER_KEY' };

beforeEach(async () => await db.begin((tx) => withdrawMasterKeys(tx, null)));

test('each host that joined is offered the key once, and reads its own', async () => {
  assert.equal(await taken(berlin, 'berlin'), undefined);
  assert.equal(await offer(), 2);
  assert.equal(await offer(), 0);
  for (const [home, host] of [
    [berlin, 'berlin'],
    [hamburg, 'hamburg'],
  ] as const)
    assert.deepEqual(await taken(home, host), offered.key);
  assert.equal(await taken(berlin, 'berlin', 'k3'), undefined);
  const text = JSON.stringify(await db`select * from host_master_key`);
  assert.ok(!text.includes(offered.key.toString('base64')));
});

test('nothing is offered in a home whose host did not join', async () => {
  await offer();
  assert.equal(await taken(join(berlin, 'nowhere'), 'berlin'), undefined);
});

test('a host cannot read what was sent to another, nor is it deceived by it', async () => {
  await offer();
  await assert.rejects(taken(hamburg, 'berlin'), refused);
  await db`update host_master_key h set envelope = o.envelope from host_master_key o where h.host = 'berlin' and o.host = 'hamburg'`;
  await assert.rejects(taken(berlin, 'berlin'), refused);
});

test('a key of another id, of another signer, or that was damaged is refused', async () => {
  await offer();
  await db`insert into host_master_key select host, 'k9', envelope from host_master_key where host = 'berlin'`;
  await assert.rejects(taken(berlin, 'berlin', 'k9'), refused);
  for (const [from, to] of [
    ['"payload":"ey', '"payload":"eY'],
    ['"signature":"', '"signature":"AAAA'],
    ['{', '['],
  ] as const) {
    await db.begin((tx) => withdrawMasterKeys(tx, null));
    await offer();
    await db`update host_master_key set envelope = replace(envelope, ${from}, ${to})`;
    await assert.rejects(taken(berlin, 'berlin'), refused);
  }
  await db.begin((tx) => withdrawMasterKeys(tx, null));
  await offer((await authorityOf('domain authority')).privateKeyPem);
  await assert.rejects(taken(berlin, 'berlin'), refused);
});

test('what was sent to a host goes with it', async () => {
  await offer();
  await db.begin((tx) => removeHost(tx, 'hamburg'));
  const rows = await db<{ host: string }[]>`select host from host_master_key`;
  assert.deepEqual(
    rows.map((row) => row.host),
    ['berlin'],
  );
});
