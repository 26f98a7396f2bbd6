import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import { createAuthority, issueCertificate, randomSerialHex } from '../x509/certificate.ts';
import { isIssuedBy } from '../x509/certificate-chain.ts';
import { createRsaKeyPair, spkiDerOf } from '../x509/key-pair.ts';
import { buildPkcsReq, parseCertRep } from './client-message.ts';
import { buildCertRep, failureOf, parsePkiMessage } from './server-message.ts';

const authority = await createAuthority({ commonName: 'Device authority', algorithm: 'EC-P256', days: 30 });
const registration = await createRsaKeyPair();
const certify = (spkiDer: Uint8Array, commonName: string, usage: 'client' | 'registration') =>
  issueCertificate({
    authority,
    publicKey: { spkiDer },
    subject: { commonName },
    days: 10,
    serialHex: randomSerialHex(),
    usage,
  });
const ra = {
  raKey: registration.privateKey,
  raCertificate: certify(spkiDerOf(registration.publicKey), 'RA', 'registration'),
};
const { privateKey: key } = await createRsaKeyPair();
const subject = { commonName: 'device 1', organizationalUnit: 'fleet' };
const ask = (overrides: Partial<Parameters<typeof buildPkcsReq>[0]> = {}) =>
  buildPkcsReq({ key, subject, challengePassword: 'pässword', raCertificateDer: ra.raCertificate, ...overrides });

for (const cipher of ['aes-128-cbc', 'aes-256-cbc', 'des-ede3-cbc'] as const) {
  test(`a device gets a certificate for its key and renews it, under ${cipher}`, async () => {
    const pending = ask({ cipher });
    const request = parsePkiMessage(pending.der, [ra]);
    assert.equal(request.messageType, 'PKCSReq');
    assert.equal(request.challengePassword, 'pässword');
    assert.equal(request.cipher, cipher);
    assert.deepEqual(request.subject, subject);
    assert.equal(request.transactionId, pending.transactionId);
    const issued = certify(request.publicKeySpkiDer, 'device 1', 'client');
    const success = {
      status: 'success',
      certificateDer: issued,
      recipientCertificateDer: request.signerCertificateDer,
      cipher,
      chainDer: [authority.certificateDer],
    } as const;
    const answer = parseCertRep(await buildCertRep(request, success, ra), pending, ra.raCertificate);
    assert.equal(answer.status, 'success');
    assert.deepEqual(Buffer.from(answer.certificateDer), issued);
    assert.ok(isIssuedBy(issued, authority.certificateDer, new Date()));

    const renewal = parsePkiMessage(ask({ renew: { key, certificateDer: issued } }).der, [ra]);
    assert.equal(renewal.messageType, 'RenewalReq');
    assert.deepEqual(Buffer.from(renewal.signerCertificateDer), issued);
    assert.equal(renewal.transactionId, pending.transactionId);
  });
}

test('a refusal and a delay reach the device', async () => {
  const pending = ask();
  const request = parsePkiMessage(pending.der, [ra]);
  const refused = await buildCertRep(request, { status: 'failure', failInfo: 'badRequest' }, ra);
  assert.deepEqual(parseCertRep(refused, pending, ra.raCertificate), { status: 'failure', failInfo: 'badRequest' });
  const delayed = await buildCertRep(request, { status: 'pending' }, ra);
  assert.deepEqual(parseCertRep(delayed, pending, ra.raCertificate), { status: 'pending' });
});

test('a device does not believe answers of others, or to other requests', async () => {
  const pending = ask();
  const other = ask();
  const answer = await buildCertRep(parsePkiMessage(pending.der, [ra]), { status: 'pending' }, ra);
  assert.throws(() => parseCertRep(answer, other, ra.raCertificate), { code: 'ERR_SCEP_BAD_MESSAGE_CHECK' });
  assert.throws(() => parseCertRep(answer, pending, authority.certificateDer), { code: 'ERR_SCEP_BAD_MESSAGE_CHECK' });
});

test('weak keys are refused with a failure that can be answered', () => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  try {
    parsePkiMessage(ask({ key: weak }).der, [ra]);
    assert.fail('a weak key was accepted');
  } catch (error) {
    assert.ok(isBrambleError(error, 'ERR_SCEP_BAD_REQUEST'), String(error));
    assert.equal(failureOf(error)?.failInfo, 'badAlg');
  }
});

test('an envelope for another authority is malformed, a changed message a bad message check', async () => {
  const stranger = await createRsaKeyPair();
  const strangerCertificate = certify(spkiDerOf(stranger.publicKey), 'stranger', 'registration');
  const wrong = ask({ raCertificateDer: strangerCertificate });
  assert.throws(() => parsePkiMessage(wrong.der, [ra]), { code: 'ERR_SCEP_MALFORMED' });
  const forged = ask({ renew: { key: stranger.privateKey, certificateDer: ra.raCertificate } });
  assert.throws(() => parsePkiMessage(forged.der, [ra]), { code: 'ERR_SCEP_BAD_MESSAGE_CHECK' });
  assert.equal(failureOf(new BrambleError('ERR_SCEP_MALFORMED', 'x')), undefined);
});

test('whatever is damaged ends in a SCEP error', () => {
  const { der } = ask();
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(der.length), (at, change, length) => {
      const damaged = Buffer.from(der.subarray(0, Math.max(length, der.length - 2)));
      if (at < damaged.length) damaged[at] = (damaged[at] ?? 0) ^ change;
      try {
        parsePkiMessage(damaged, [ra]);
      } catch (error) {
        assert.ok(isBrambleError(error) && error.code.startsWith('ERR_SCEP_'), String(error));
      }
    }),
    { numRuns: 400 },
  );
});
