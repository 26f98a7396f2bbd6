import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { isBrambleError } from '../base/errors.ts';
import {
  type CertificateOrder,
  createAuthority,
  issueCertificate,
  randomSerialHex,
} from '../protocol/x509/certificate.ts';
import { createEcKeyPair, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { createTestAuthority, type TestAuthority } from './link-fixture.ts';
import { normalSerial, revocationListShape } from './messages.ts';
import { openEnvelope, openRoutes, signEnvelope, signRoutes } from './signed-envelope.ts';

let domain: TestAuthority;
before(async () => {
  domain = await createTestAuthority('Domain');
});
const list = { number: 3, revoked: [], cleared: [] };

test('what the domain signed is opened', () => {
  const key = new X509Certificate(domain.certificatePem).publicKey;
  assert.deepEqual(openEnvelope(signEnvelope(list, domain.key), revocationListShape, key), list);
});

test('changed bytes, another signer and another shape are not believed', async () => {
  const key = new X509Certificate(domain.certificatePem).publicKey;
  const signed = signEnvelope(list, domain.key);
  const changed = { ...signed, payload: Buffer.from(JSON.stringify({ ...list, number: 4 })).toString('base64') };
  const other = signEnvelope(list, (await createTestAuthority('Domain')).key);
  for (const envelope of [changed, other]) {
    assert.throws(
      () => openEnvelope(envelope, revocationListShape, key),
      (error) => isBrambleError(error, 'ERR_LINK_SIGNATURE'),
    );
  }
  for (const envelope of [signEnvelope({ number: 'x' }, domain.key), {}, null, { payload: '%', signature: '' }]) {
    assert.throws(
      () => openEnvelope(envelope, revocationListShape, key),
      (error) => isBrambleError(error, 'ERR_LINK_MESSAGE'),
    );
  }
});

test('an answer about routes may come from the route signer, and nothing else may', async () => {
  const root = await createAuthority({ commonName: 'Domain', algorithm: 'EC-P256', days: 10 });
  const stranger = await createAuthority({ commonName: 'Domain', algorithm: 'EC-P256', days: 10 });
  const key = new X509Certificate(root.certificateDer).publicKey;
  const retired = randomSerialHex();
  const isRevoked = (serial: string) => normalSerial(serial) === retired;
  const answered = async (order: Partial<CertificateOrder>) => {
    const pair = await createEcKeyPair();
    const certificateDer = issueCertificate({
      ...{ authority: root, publicKey: { spkiDer: spkiDerOf(pair.publicKey) }, subject: { commonName: 'signer' } },
      ...{ days: 5, serialHex: randomSerialHex(), usage: 'route-signer', ...order },
    });
    return signRoutes(list, pair.privateKey, certificateDer);
  };
  assert.deepEqual(openRoutes(signRoutes(list, root.privateKeyPem), revocationListShape, key, isRevoked), list);
  const good = await answered({});
  assert.deepEqual(openRoutes(good, revocationListShape, key, isRevoked), list);
  const longAgo = new Date(Date.now() - 30 * 86_400_000);
  const bad = {
    'an SRP credential': await answered({ usage: 'client' }),
    'a router': await answered({ usage: 'server' }),
    'both of them': await answered({ usage: 'both' }),
    'a profile signer': await answered({ usage: 'profile-signer' }),
    'a certificate without a purpose': await answered({ usage: 'registration' }),
    'the route signer of another domain': await answered({ authority: stranger }),
    'one that is revoked': await answered({ serialHex: retired }),
    'one that has expired': await answered({ notBefore: longAgo, days: 1 }),
    'the certificate of the route signer without its key': { ...good, ...signEnvelope(list, stranger.privateKeyPem) },
    'another authority': signRoutes(list, stranger.privateKeyPem, stranger.certificateDer),
  };
  for (const [who, answer] of Object.entries(bad)) {
    assert.throws(
      () => openRoutes(answer, revocationListShape, key, isRevoked),
      (error) => isBrambleError(error, 'ERR_LINK_SIGNATURE'),
      who,
    );
  }
  assert.throws(() => openRoutes({ ...good, signer: 'AAAA' }, revocationListShape, key, isRevoked), {
    code: 'ERR_LINK_MESSAGE',
  });
  assert.throws(
    () => openEnvelope(good, revocationListShape, key),
    { code: 'ERR_LINK_SIGNATURE' },
    'a revocation list',
  );
});

test('serial numbers have one form', () => {
  assert.equal(normalSerial('00:0A:FF'), normalSerial('aff'));
  assert.equal(normalSerial('0'), '0');
});
