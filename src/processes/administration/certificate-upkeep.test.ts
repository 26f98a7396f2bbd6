/** What an administration service renews of the domain's certificates, with a clock that is set on. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { openDatabase } from '../../database/connection.ts';
import { readRoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import { loadAuthority, loadDomainAuthority } from '../../domain/authorities.ts';
import { type RouterFile, routerCertificateDays, routerFilePath, routerFolder } from '../../link/router-file.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { issueCertificate, randomSerialHex } from '../../protocol/x509/certificate.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../../protocol/x509/key-pair.ts';
import { markRemoved } from '../../routers/router-store.ts';
import { placeRouter, startAdministration } from './administration-fixture.ts';
import { listCertificates } from './certificate-list.ts';
import { createCertificateUpkeep } from './certificate-upkeep.ts';

const admin = await startAdministration();
const { db, context, home } = admin;
const dayMs = 86_400_000;
const path = routerFilePath(home, 'router-1');
const names = { dnsNames: ['mdm.example.com', 'router.bramble.internal'], ipAddresses: ['127.0.0.1', '::1'] };
let now = Date.now();
/** As the role of an administration service. */
let asRole: ReturnType<typeof openDatabase>;

before(async () => {
  await establishRoles(admin.databaseUrl, home);
  const credentials = await readRoleCredentials(home);
  const address = urlForRole(admin.databaseUrl, credentials.get('administration'));
  asRole = openDatabase(address, { applicationName: 'bramble/administration/admin-1@test#2', max: 2 });
});
after(async () => {
  await asRole?.end({ timeout: 5 });
  await admin.close();
});

beforeEach(async () => {
  now = Date.now();
  const authority = await loadDomainAuthority(db, context.masterKeys);
  const { privateKey, publicKey } = await createEcKeyPair();
  const certificateDer = issueCertificate({
    authority,
    publicKey: { spkiDer: spkiDerOf(publicKey) },
    subject: { commonName: 'mdm.example.com', organization: 'Example' },
    ...{ days: routerCertificateDays, serialHex: randomSerialHex(), usage: 'server', ...names },
  });
  const file: RouterFile = {
    certificatePem: new X509Certificate(certificateDer).toString(),
    privateKeyPem: privateKeyPemOf(privateKey),
    domainAuthorityPem: new X509Certificate(authority.certificateDer).toString(),
  };
  await mkdir(routerFolder(home, 'router-1'), { recursive: true });
  await writeFile(path, JSON.stringify(file), { mode: 0o600 });
});

const turn = () =>
  createCertificateUpkeep({
    ...{
      db: asRole,
      release: context.release,
      name: context.name,
      home,
      host: context.host,
      masterKeys: context.masterKeys,
    },
    clock: systemClock,
    now: async () => new Date(now),
    log: silentLogger,
  }).turn();
const routerFile = async () => JSON.parse(await readFile(path, 'utf8')) as RouterFile;
const signer = async () => {
  const authority = await loadAuthority(db, context.masterKeys, 'profile-signer');
  assert.ok(authority);
  return authority;
};

test('a router’s certificate is renewed in its last third, for the same key and the same names', async () => {
  const before = await routerFile();
  now += (routerCertificateDays * dayMs * 2) / 3 - dayMs;
  await turn();
  assert.deepEqual(await routerFile(), before);
  now += 2 * dayMs;
  await turn();
  const after = await routerFile();
  assert.notEqual(after.certificatePem, before.certificatePem);
  assert.deepEqual({ ...after, certificatePem: '' }, { ...before, certificatePem: '' });
  const [was, is] = [new X509Certificate(before.certificatePem), new X509Certificate(after.certificatePem)];
  assert.ok(is.checkPrivateKey(createPrivateKey(after.privateKeyPem)));
  assert.ok(is.verify(new X509Certificate(after.domainAuthorityPem).publicKey));
  assert.deepEqual([is.subjectAltName, is.subject], [was.subjectAltName, was.subject]);
  assert.deepEqual(is.keyUsage, was.keyUsage);
  const days = (is.validToDate.getTime() - now) / dayMs;
  assert.ok(days > routerCertificateDays - 1 && days <= routerCertificateDays, String(days));
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await turn();
  assert.deepEqual(await routerFile(), after);
});

const listed = async () => (await listCertificates(context)).some(({ name }) => name === 'router router-1');

test('the folder of a removed router stays, but its certificate is neither renewed nor listed', async () => {
  await placeRouter(db, '127.0.0.1');
  assert.equal(await listed(), true);
  await db.begin((tx) => markRemoved(tx, 'router-1'));
  const before = await routerFile();
  now += routerCertificateDays * dayMs;
  await turn();
  assert.deepEqual(await routerFile(), before);
  assert.equal(await listed(), false);
  await db`delete from router`;
});

test('nor is what a router left here whose name one on another host has since', async () => {
  await placeRouter(db, '127.0.0.1');
  await db`update router set host = 'berlin', certificate_ends_at = ${new Date(now)}`;
  const before = await routerFile();
  now += routerCertificateDays * dayMs;
  await turn();
  assert.deepEqual(await routerFile(), before);
  const [one] = (await listCertificates(context)).filter(({ name }) => name === 'router router-1');
  assert.deepEqual([one?.ofHome, one?.endsAt.getTime()], [false, now - routerCertificateDays * dayMs]);
  await db`delete from router`;
});

test('what was renewed while the clock was ahead is renewed again once it is right, and then stays', async () => {
  now += 3 * 365 * dayMs;
  await turn();
  const ahead = [(await routerFile()).certificatePem, (await signer()).certificateDer];
  now = Date.now();
  const begins = (certificate: Buffer | string) => new X509Certificate(certificate).validFromDate.getTime();
  assert.ok(ahead.every((certificate) => begins(certificate) > now));
  await turn();
  const right = [(await routerFile()).certificatePem, (await signer()).certificateDer];
  assert.ok(right.every((certificate) => begins(certificate) <= now));
  await turn();
  assert.deepEqual([(await routerFile()).certificatePem, (await signer()).certificateDer], right);
});

test('a router file that cannot be read keeps nothing else from being renewed', async () => {
  const before = await signer();
  await writeFile(path, 'no file of a router');
  now += 700 * dayMs;
  await turn();
  const after = await signer();
  assert.notDeepEqual(after.certificateDer, before.certificateDer);
  assert.notEqual(after.privateKeyPem, before.privateKeyPem);
  const root = await loadAuthority(db, context.masterKeys, 'device');
  const is = new X509Certificate(after.certificateDer);
  assert.ok(is.verify(new X509Certificate(root?.certificateDer ?? '').publicKey));
  assert.ok(is.checkPrivateKey(createPrivateKey(after.privateKeyPem)));
  // The audit knows who did it.
  const records = await db`select distinct actor from audit_record where operation = 'renew profile signer'`;
  assert.deepEqual([...records], [{ actor: 'admin-1' }]);
  const unrecorded = await db`select 1 from audit_record where kind = 'unrecorded' and operation = 'update authority'`;
  assert.equal(unrecorded.length, 0);
});

test('an administration service of another release renews nothing', async () => {
  const before = [await routerFile(), await signer()];
  now += 800 * dayMs;
  await createCertificateUpkeep({
    ...{ db: asRole, release: '99.0.0', name: context.name, home, host: context.host, masterKeys: context.masterKeys },
    clock: systemClock,
    now: async () => new Date(now),
    log: silentLogger,
  }).turn();
  assert.deepEqual([await routerFile(), await signer()], before);
});

test('every certificate is listed with its end, and what has to be done is said while there is time', async () => {
  const at = async (days: number) => {
    const listed = await listCertificates(context, new Date(Date.now() + days * dayMs));
    return new Map(listed.map(({ name, warning }) => [name, warning]));
  };
  const present = await at(0);
  assert.deepEqual([...present.keys()].sort(), [
    ...['device authority', 'domain authority', 'profile-signer authority', 'registration authority'],
    ...['route-signer authority', 'router router-1'],
  ]);
  assert.deepEqual(
    [...present.values()].filter((warning) => warning !== null),
    [],
  );
  const late = await at(routerCertificateDays - 10);
  assert.match(late.get('router router-1') ?? '', /^expires in \d+ days; it should have been renewed/);
  assert.equal(late.get('domain authority'), null);
  assert.match(
    (await at(19 * 365)).get('domain authority') ?? '',
    /^expires in 36\d days; replace it with `bramble authority roll domain`/,
  );
  const { status, body } = await admin.call('GET', '/status');
  assert.equal(status, 200);
  const { certificates } = body as { certificates: { name: string; renewal: string }[] };
  assert.equal(certificates.length, present.size);
  const authority = certificates.find(({ name }) => name === 'domain authority');
  assert.equal(authority?.renewal, 'by hand: `bramble authority roll domain`');
});
