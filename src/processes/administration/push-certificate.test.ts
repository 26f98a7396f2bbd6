/** A push certificate is checked when it is set, and the first real one fixes the domain's topic. */
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { runBramble } from '../../cli/command-line-fixture.ts';
import { seedDevice } from '../../devices/device-fixture.ts';
import { startAdministration } from './administration-fixture.ts';
import { pushSettingsStore } from './push-settings-store.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

interface Pem {
  certificatePem: string;
  privateKeyPem: string;
}

const dayMs = 86_400_000;

async function pushCertificate(subject: string, fromMs = -dayMs, toMs = 365 * dayMs): Promise<Pem> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: subject,
    notBefore: new Date(Date.now() + fromMs),
    notAfter: new Date(Date.now() + toMs),
    signingAlgorithm: algorithm,
    keys,
  });
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    certificatePem: certificate.toString('pem'),
    privateKeyPem: `-----BEGIN PRIVATE KEY-----\n${Buffer.from(der).toString('base64')}\n-----END PRIVATE KEY-----\n`,
  };
}

const set = async (body: object) => {
  const answer = await admin.call('PUT', '/push', body);
  return { status: answer.status, ...(answer.body as Record<string, unknown>) } as Record<string, unknown>;
};
const topicOf = async () => (await admin.db`select push_topic from domain`)[0]?.['push_topic'];

const openedPush = async () => await pushSettingsStore(admin.context).read(admin.db);

let real: Pem;
before(async () => {
  real = await pushCertificate('0.9.2342.19200300.100.1.1=com.apple.mgmt.External.real, CN=APSP:real');
  const [instance] = await admin.db<{ id: string }[]>`select id from instance where name = 'one'`;
  await seedDevice(admin.db, instance?.id as never, 'early');
  await admin.db`update device set topic = 'com.apple.mgmt.External.test'`;
});

test('a certificate that cannot work is refused, and nothing is changed', async () => {
  const other = await pushCertificate('0.9.2342.19200300.100.1.1=com.apple.mgmt.External.other');
  for (const [body, why] of [
    [{ certificatePem: real.certificatePem }, /private key is missing/],
    [{ privateKeyPem: real.privateKeyPem }, /certificate is missing/],
    [{ ...real, certificatePem: 'PEM' }, /certificate cannot be read/],
    [{ ...real, privateKeyPem: 'PEM' }, /private key cannot be read/],
    [{ ...real, privateKeyPem: other.privateKeyPem }, /belongs to another certificate/],
    [
      await pushCertificate('0.9.2342.19200300.100.1.1=com.apple.mgmt.External.real', -2 * dayMs, -dayMs),
      /expired on \d{4}-/,
    ],
    [await pushCertificate('0.9.2342.19200300.100.1.1=com.apple.mgmt.External.real', dayMs), /not valid before \d{4}-/],
    [await pushCertificate('CN=www.example.org'), /names no topic/],
  ] as const) {
    const { status, code, message } = await set(body);
    assert.deepEqual([status, code], [400, 'ERR_PUSH_CERTIFICATE'], String(message));
    assert.doesNotMatch(String(message), /routines|asn1|error:/i);
    assert.match(String(message), why);
  }
  assert.equal(await topicOf(), 'com.apple.mgmt.External.test');
});

test('while a component of the release before would keep the made-up topic, it is not replaced', async () => {
  await admin.db`
    insert into component (name, kind, host, boot_id, process_id, release, link_versions, features, lease_until)
    values ('old', 'server', 'h', 'b', 1, '1.1.0', '{1}', '{}', now())`;
  assert.deepEqual((await set(real))['code'], 'ERR_FEATURE_LOCKED');
  assert.equal(await topicOf(), 'com.apple.mgmt.External.test');
  await admin.db`delete from component where name = 'old'`;
});

test('bramble push says what a certificate does for good, and sets it only after a yes', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'push-'));
  context.after(() => rm(folder, { recursive: true }));
  const [certificate, key] = [join(folder, 'push.pem'), join(folder, 'key.pem')];
  await writeFile(certificate, real.certificatePem);
  await writeFile(key, real.privateKeyPem);
  const { code, errors } = await runBramble(admin, ['push', '--certificate', certificate, '--key', key]);
  assert.equal(code, 2);
  assert.match(errors, /topic com\.apple\.mgmt\.External\.real, issued by itself \(self-signed/);
  assert.match(errors, /becomes this domain’s permanently/);
  assert.match(errors, /1 device enrolled under another topic cannot be woken and must enrol again/);
  assert.equal(await topicOf(), 'com.apple.mgmt.External.test');
  const preview = await admin.call('PUT', '/push?preview=true', real);
  const answer = preview.body as Record<string, unknown>;
  assert.deepEqual([preview.status, answer['mustEnrolAgain'], answer['topicFixed']], [200, 1, false]);
  assert.equal(await topicOf(), 'com.apple.mgmt.External.test');
});

test('the first certificate replaces the made-up topic and says who must enrol again; another topic is refused then', async () => {
  const first = await set(real);
  assert.deepEqual(
    [first['status'], first['topic'], first['topicFixed'], first['mustEnrolAgain']],
    [200, 'com.apple.mgmt.External.real', true, 1],
  );
  const listed = async () =>
    ((await admin.call('GET', '/devices?mustEnrolAgain=true')).body as { devices: object[] }).devices.length;
  assert.equal(await listed(), 1);
  await admin.db`update device set topic = 'com.apple.mgmt.External.real'`;
  assert.equal(await listed(), 0);
  const renewed = await pushCertificate('0.9.2342.19200300.100.1.1=com.apple.mgmt.External.real');
  assert.equal((await set(renewed))['status'], 200);
  const other = await set(await pushCertificate('0.9.2342.19200300.100.1.1=com.apple.mgmt.External.other'));
  assert.deepEqual([other['status'], other['code']], [409, 'ERR_PUSH_TOPIC']);
  assert.match(String(other['message']), /enrolled so: 1\./);
  assert.equal(await topicOf(), 'com.apple.mgmt.External.real');
  const moved = await runBramble(admin, ['--json', 'push', '--set', 'url=https://relay.example.org']);
  assert.deepEqual([moved.code, JSON.parse(moved.output).url], [0, 'https://relay.example.org']);
  assert.equal(JSON.parse(moved.output).hasCertificate, true, 'what is not named stays');
  assert.equal((await openedPush()).privateKeyPem, renewed.privateKeyPem);
  for (const url of ['http://relay.example.org', 'http://10.0.0.1:8080']) {
    const open = await runBramble(admin, ['push', '--set', `url=${url}`]);
    assert.match(open.errors, /without encryption.*\(ERR_INPUT\)/);
  }
  assert.equal((await runBramble(admin, ['push', '--set', 'url=http://127.0.0.1:1/'])).code, 0);
  // Without a certificate the service alone changes, as a relay or a simulator wants it; the topic stays.
  const relay = await set({ url: 'https://127.0.0.1:9999' });
  assert.deepEqual([relay['status'], relay['topic'], relay['topicFixed']], [200, 'com.apple.mgmt.External.real', true]);
});
