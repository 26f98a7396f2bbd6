/** The renewal of SRP credentials, between a holder and an administration service that meet in the database. */
import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { after, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import type { SrpIdentifier } from '../base/ids.ts';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import type { SrpCredential } from '../link/credential.ts';
import { signEnvelope } from '../link/signed-envelope.ts';
import { createAuthority } from '../protocol/x509/certificate.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { until } from '../testing/condition.ts';
import { answerRenewals, hasOpenRenewal } from './credential-issuing.ts';
import { credentialRenewal, requestFirstCredential } from './credential-renewal.ts';
import { createInstance } from './instances.ts';
import { listSrpCredentials, revokeSrpCredential } from './srp-credential-store.ts';
import { issueSrpCredential, srpCredentialSerial } from './srp-credentials.ts';

const limited = { timeout: 60_000 };
const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 4 });
after(async () => await db.end());
const made = await createAuthority({ commonName: 'test', algorithm: 'EC-P256', days: 3650 });
const authority = { certificateDer: Buffer.from(made.certificateDer), privateKeyPem: made.privateKeyPem };
const domainAuthorityPem = new X509Certificate(authority.certificateDer).toString();
const routers = [{ host: '127.0.0.1', port: 3101, serverName: 'router.test' }];
/** Hosts that joined, and which identifiers are placed on them. */
const hostKeys = new Map<string, Buffer>();
const placed = new Set<string>();
const answer = (by = authority) =>
  db.begin((tx) =>
    answerRenewals(tx, async () => by, {
      hostKey: async (_, host) => hostKeys.get(host),
      isPlaced: async (_, identifier, host) => placed.has(`${identifier} ${host}`),
      routers: async () => routers,
    }),
  );

async function holder(name: string): Promise<SrpCredential> {
  const created = await db.begin((tx) => createInstance(tx, { name }));
  assert(created.kind === 'created');
  const order = { identifier: created.srpIdentifier, authority, routers };
  const issued = await db.begin((tx) => issueSrpCredential(tx, order));
  assert(issued !== 'not-found');
  return { ...issued.file, routers: [...issued.file.routers] };
}

/** A forged request, as someone with access to the database and this key could write it. */
async function ask(row: string, request: object, privateKeyPem: string): Promise<void> {
  const { payload, signature } = signEnvelope(request, privateKeyPem);
  await db`delete from srp_renewal where identifier = ${row}`;
  await db`insert into srp_renewal (identifier, payload, signature) values (${row}, ${payload}, ${signature})`;
}

async function newKey(): Promise<string> {
  return spkiDerOf((await createEcKeyPair()).publicKey).toString('base64');
}

test('a holder gets a successor for a key of its own, also when the administration comes later', limited, async () => {
  const present = await holder('east');
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  const clock = {
    now: () => Date.now(),
    sleep: async () => {
      asked.resolve();
      await answered.promise;
    },
  };
  const renewing = credentialRenewal(db, clock).renew(present, new AbortController().signal);
  await asked.promise;
  assert.equal(await hasOpenRenewal(db), true);
  assert.deepEqual(await answer(), [{ identifier: present.identifier, refusal: null }]);
  answered.resolve();
  const next = await renewing;
  assert.equal(await hasOpenRenewal(db), false);
  assert.deepEqual(await answer(), [], 'once');
  const certificate = new X509Certificate(next.certificatePem);
  assert.equal(certificate.subject, `CN=${present.identifier}`);
  assert(certificate.verify(new X509Certificate(authority.certificateDer).publicKey));
  assert.notEqual(next.privateKeyPem, present.privateKeyPem);
  assert.deepEqual(next.routers, present.routers);
  const listed = (await listSrpCredentials(db, present.identifier)).map((row) => row.serial);
  assert.deepEqual(listed.sort(), [srpCredentialSerial(present), srpCredentialSerial(next)].sort());
  const rows = await db`select srp_renewal::text as text from srp_renewal`;
  assert(!JSON.stringify(rows).includes('PRIVATE'), 'no private key comes into the database');
});

test('a revoked credential has no successor: ERR_SRP_RENEWAL', limited, async () => {
  const present = await holder('west');
  await db.begin((tx) => revokeSrpCredential(tx, srpCredentialSerial(present)));
  const clock = { now: () => Date.now(), sleep: async () => void (await answer()) };
  await assert.rejects(credentialRenewal(db, clock).renew(present, new AbortController().signal), {
    code: 'ERR_SRP_RENEWAL',
  });
});

test('access to the database, or another’s credential, gets no certificate for an identifier', limited, async () => {
  const [victim, mallory] = [await holder('victim'), await holder('mallory')];
  const stranger = await createEcKeyPair();
  const forgeries: [string, object, string][] = [
    [
      'signed by a key that was never certified',
      {},
      stranger.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ],
    ['signed by the credential of another', {}, mallory.privateKeyPem],
    ['with the serial of another', { presentSerial: srpCredentialSerial(mallory) }, mallory.privateKeyPem],
    ['for another identifier', { identifier: mallory.identifier }, mallory.privateKeyPem],
    ['with a key that is none', { publicKey: 'AAAA' }, victim.privateKeyPem],
    ['without a serial', { presentSerial: '' }, victim.privateKeyPem],
  ];
  const before = (await listSrpCredentials(db)).length;
  for (const [what, forged, key] of forgeries) {
    const honest = {
      identifier: victim.identifier,
      presentSerial: srpCredentialSerial(victim),
      publicKey: await newKey(),
    };
    await ask(victim.identifier, { ...honest, ...forged }, key);
    const [outcome] = await answer();
    assert.equal(outcome?.identifier, victim.identifier as SrpIdentifier);
    assert.equal(typeof outcome?.refusal, 'string', what);
  }
  assert.equal((await listSrpCredentials(db)).length, before);
});

test('a request that cannot be answered keeps no other one from its answer', limited, async () => {
  const good = await holder('good');
  await db`insert into srp_renewal (identifier, payload, signature) values ('S99999999', '!', '!')`;
  const clock = { now: () => Date.now(), sleep: async () => void (await answer()) };
  const next = await credentialRenewal(db, clock).renew(good, new AbortController().signal);
  assert.equal(next.identifier, good.identifier);
});

test('a process on a host that joined gets its first credential; nobody else gets one', limited, async () => {
  const created = await db.begin((tx) => createInstance(tx, { name: 'on-berlin' }));
  assert(created.kind === 'created');
  const { srpIdentifier: identifier } = created;
  const keys = await createEcKeyPair();
  const host = { name: 'berlin', privateKeyPem: privateKeyPemOf(keys.privateKey), domainAuthorityPem };
  const impatient = { ...systemClock, sleep: () => systemClock.sleep(1) };
  const request = async () => {
    const asking = requestFirstCredential(db, identifier, host, new AbortController().signal, impatient);
    asking.catch(() => undefined);
    await until('it has asked', 30_000, () => hasOpenRenewal(db));
    const answered = await answer();
    return { asking, refusal: answered[0]?.refusal };
  };
  const stranger = await request();
  assert.match(stranger.refusal ?? '', /no host berlin has joined/);
  await assert.rejects(stranger.asking, { code: 'ERR_SRP_RENEWAL' });

  hostKeys.set('berlin', spkiDerOf((await createEcKeyPair()).publicKey));
  placed.add(`${identifier} berlin`);
  const impostor = await request();
  assert.match(impostor.refusal ?? '', /not signed/);
  await assert.rejects(impostor.asking, { code: 'ERR_SRP_RENEWAL' });

  hostKeys.set('berlin', spkiDerOf(keys.publicKey));
  placed.clear();
  const elsewhere = await request();
  assert.match(elsewhere.refusal ?? '', /not to run on the host berlin/);
  await assert.rejects(elsewhere.asking, { code: 'ERR_SRP_RENEWAL' });

  placed.add(`${identifier} berlin`);
  const { asking } = await request();
  const credential = await asking;
  assert.deepEqual([credential.identifier, credential.routers], [identifier, routers]);
  assert.equal((await listSrpCredentials(db, identifier)).length, 1);
  const { publicKey } = new X509Certificate(credential.certificatePem);
  assert.equal(createPublicKey(credential.privateKeyPem).equals(publicKey), true, 'its key stayed with its holder');
});

test('a certificate that somebody put into the database is not taken', limited, async () => {
  const present = await holder('forged');
  const other = await createAuthority({ commonName: 'test', algorithm: 'EC-P256', days: 3650 });
  const forger = { certificateDer: Buffer.from(other.certificateDer), privateKeyPem: other.privateKeyPem };
  const clock = { now: () => Date.now(), sleep: async () => void (await answer(forger)) };
  const signal = new AbortController().signal;
  await assert.rejects(credentialRenewal(db, clock).renew(present, signal), { code: 'ERR_SRP_RENEWAL' });
  const honest = { now: () => Date.now(), sleep: async () => void (await answer()) };
  assert.equal((await credentialRenewal(db, honest).renew(present, signal)).identifier, present.identifier);
  const again = await holder('swapped');
  const swapping = {
    now: () => Date.now(),
    sleep: async () => {
      await answer();
      await db`update srp_renewal set certificate = ${authority.certificateDer} where identifier = ${again.identifier}`;
    },
  };
  await assert.rejects(credentialRenewal(db, swapping).renew(again, signal), { code: 'ERR_SRP_RENEWAL' });
});
