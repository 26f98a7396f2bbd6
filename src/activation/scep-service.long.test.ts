/** SCEP: public answers, certificates for a challenge, repeated messages, and overload. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, afterEach, test } from 'node:test';
import { createTestDatabase } from '../database/database-fixture.ts';
import { generateAuthorities } from '../domain/authority-creation.ts';
import { sealEnvelope } from '../protocol/cms/enveloped-data.ts';
import { readSignedData } from '../protocol/cms/signed-data.ts';
import { signAttached } from '../protocol/cms/signing.ts';
import { derOid } from '../protocol/der/writer.ts';
import { scepAttributesDer, scepCapabilities } from '../protocol/scep/attributes.ts';
import { parseCertRep, registrationCertificateIn } from '../protocol/scep/client-message.ts';
import { selfSignedCertificate } from '../protocol/x509/certificate.ts';
import { isIssuedBy } from '../protocol/x509/certificate-chain.ts';
import { fingerprintOf } from '../protocol/x509/certificate-fields.ts';
import { createEcKeyPair, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { createScepService } from './scep-service.ts';
import { createScepFixture } from './scep-service-fixture.ts';

const { url } = await createTestDatabase();
const {
  fixture,
  serviceOptions,
  scep,
  upgrade,
  ra,
  requestFor,
  send,
  answerTo,
  certificateFor,
  refusalOf,
  stored,
  keys: [first, second],
} = await createScepFixture(url);
afterEach(() => {
  upgrade.isFinalized = true;
});
after(async () => {
  await fixture.close();
});

const ask = (operation: string) => scep.handleScep({ operation, token: 'any', message: new Uint8Array() });

test('capabilities and certificates are told to whoever asks', async () => {
  const capabilities = await ask('GetCACaps');
  assert.ok(capabilities.kind === 'answer');
  assert.equal(capabilities.body.toString(), scepCapabilities);
  const authority = await ask('GetCACert');
  assert.ok(authority.kind === 'answer');
  assert.equal(authority.contentType, 'application/x-x509-ca-ra-cert');
  assert.deepEqual(
    readSignedData(authority.body).certificates.map(fingerprintOf),
    [ra, fixture.authorities.device.certificateDer].map(fingerprintOf),
  );
  assert.deepEqual(Buffer.from(registrationCertificateIn(authority.contentType, authority.body)), Buffer.from(ra));
  assert.equal((await ask('GetNextCACert')).kind, 'unknown-operation');
});

test('while an upgrade is open devices are told of the authority that the old release has, and either one answers', async () => {
  const { device: deviceAuthority } = fixture.authorities;
  upgrade.isFinalized = false;
  const authority = await ask('GetCACert');
  assert.ok(authority.kind === 'answer' && authority.contentType === 'application/x-x509-ca-cert');
  assert.deepEqual(authority.body, deviceAuthority.certificateDer);
  for (upgrade.isFinalized of [false, true]) {
    for (const certificateDer of [deviceAuthority.certificateDer, ra]) {
      const device = await fixture.offeredDevice();
      const request = requestFor(first, device.challenge, undefined, certificateDer);
      const { rep, refusal } = await answerTo(device.token, request, certificateDer);
      assert.deepEqual([rep.status, refusal], ['success', undefined]);
      const wrong = requestFor(first, 'wrong', undefined, certificateDer);
      assert.equal((await answerTo(device.token, wrong, certificateDer)).refusal, 'challenge');
    }
  }
});

test('an identity is valid at once where the clock of its instance is an hour off, and renewed there', async (t) => {
  const now = new Date();
  t.mock.timers.enable({ apis: ['Date'], now: now.getTime() + 3_600_000 });
  const device = await fixture.offeredDevice();
  const certificateDer = await certificateFor(device.token, requestFor(first, device.challenge));
  t.mock.timers.reset();
  assert.ok(new X509Certificate(certificateDer).validFromDate < now);
  t.mock.timers.enable({ apis: ['Date'], now: now.getTime() - 3_600_000 });
  const next = requestFor(second, '', { key: first.privateKey, certificateDer });
  const { rep } = await answerTo(device.token, next);
  t.mock.timers.reset();
  assert.equal(rep.status, 'success');
});

test('a request under way while the device authority is replaced is opened, and answered by the new one’s certificate', async () => {
  const device = await fixture.offeredDevice();
  const other = await fixture.offeredDevice();
  const before = fixture.authorities;
  const sent = requestFor(first, device.challenge);
  const next = await generateAuthorities({ name: 'next' });
  const { device: authority, registration } = next;
  fixture.setAuthorities({
    ...{ ...before, device: authority, registration },
    ...{ formerDeviceDer: before.device.certificateDer, formerRegistration: before.registration },
  });
  try {
    const { rep } = await answerTo(device.token, sent);
    assert.ok(rep.status === 'success');
    assert.ok(isIssuedBy(rep.certificateDer, authority.certificateDer, new Date()));
    const told = await scep.handleScep({ operation: 'GetCACert', token: device.token, message: Buffer.alloc(0) });
    assert.ok(told.kind === 'answer');
    for (const [der, is] of [
      [registration.certificateDer, true],
      [before.registration.certificateDer, false],
    ] as const)
      assert.equal(told.body.includes(der), is);
    const fresh = requestFor(second, other.challenge, undefined, registration.certificateDer);
    assert.equal((await answerTo(other.token, fresh, registration.certificateDer)).rep.status, 'success');
  } finally {
    fixture.setAuthorities({ ...before, formerDeviceDer: undefined, formerRegistration: undefined });
  }
});

test('single DES is refused as a bad algorithm, which is named for the log', async () => {
  const device = await fixture.offeredDevice();
  const envelope = sealEnvelope(Buffer.from('csr'), ra, 'des-ede3-cbc');
  const [tripleDes, des] = [derOid('1.2.840.113549.3.7'), derOid('1.3.14.3.2.7')];
  const at = envelope.indexOf(tripleDes);
  // Padded with an attribute value of three bytes less, so that no length changes.
  const changed = Buffer.concat([envelope.subarray(0, at), des, Buffer.from([0x04, 0x0b]), Buffer.alloc(3)]);
  const body = Buffer.concat([changed, envelope.subarray(at + tripleDes.length + 2)]);
  assert.equal(body.length, envelope.length);
  const request = requestFor(first, device.challenge);
  const certificateDer = selfSignedCertificate({ key: first.privateKey, subject: { commonName: 'device' }, days: 1 });
  const { transactionId, senderNonce } = request;
  const attributes = scepAttributesDer({ messageType: 'PKCSReq', transactionId, senderNonce });
  const der = signAttached({ key: first.privateKey, certificateDer, body, attributes });
  const outcome = await send(device.token, { ...request, der });
  assert.ok(outcome.kind === 'answer' && outcome.refusal === 'message');
  assert.match(outcome.reason ?? '', /DES-CBC \(1\.3\.14\.3\.2\.7\)/);
  assert.deepEqual(parseCertRep(outcome.body, request, ra), { status: 'failure', failInfo: 'badAlg' });
});

test('the challenge brings a certificate in the name of the device for 365 days', async () => {
  const device = await fixture.offeredDevice();
  const der = await certificateFor(device.token, requestFor(first, device.challenge));
  const certificate = new X509Certificate(der);
  assert.ok(certificate.subject.includes(`CN=${device.deviceId}`));
  assert.ok(certificate.verify(new X509Certificate(fixture.authorities.device.certificateDer).publicKey));
  assert.equal(Math.round((certificate.validToDate.getTime() - Date.now()) / 86_400_000), 365);
  const row = await stored(device.deviceId);
  assert.equal(row?.state, 'certified');
  assert.equal(row?.fingerprint, fingerprintOf(der));
  assert.equal(row?.expires?.getTime(), certificate.validToDate.getTime());
});

test('the same key gets the same certificate again, also at once, and another key is refused', async () => {
  const device = await fixture.offeredDevice();
  const request = requestFor(first, device.challenge);
  const answers = await Promise.all(Array.from({ length: 3 }, () => certificateFor(device.token, request)));
  answers.push(await certificateFor(device.token, requestFor(first, device.challenge)));
  assert.equal(new Set(answers.map(fingerprintOf)).size, 1);
  assert.equal(await refusalOf(device.token, requestFor(second, device.challenge)), 'another-key');
});

test('of two keys at once one gets the certificate', async () => {
  const device = await fixture.offeredDevice();
  const requests = [requestFor(first, device.challenge), requestFor(second, device.challenge)];
  const answers = await Promise.all(requests.map((request) => answerTo(device.token, request)));
  assert.deepEqual(answers.map(({ rep }) => rep.status).sort(), ['failure', 'success']);
});

test('a wrong or missing challenge, a lapsed offer and a device that is gone get nothing', async () => {
  const device = await fixture.offeredDevice();
  assert.equal(await refusalOf(device.token, requestFor(first, 'wrong')), 'challenge');
  assert.equal(await refusalOf(device.token, requestFor(first, '')), 'challenge');
  const opened = scep.opened;
  await fixture.db`update device set created_at = now() - interval '25 hours' where id = ${device.deviceId}`;
  assert.equal(await refusalOf(device.token, requestFor(first, device.challenge)), 'lapsed');
  await fixture.db`update device set created_at = now(), state = 'gone' where id = ${device.deviceId}`;
  assert.equal(await refusalOf(device.token, requestFor(first, device.challenge)), 'not-enrolling');
  assert.equal(scep.opened, opened, 'what is refused in any case is not opened');
  assert.equal((await stored(device.deviceId))?.fingerprint, null);
});

test('a request that cannot be answered does not bind the offer', async () => {
  const device = await fixture.offeredDevice();
  const ec = await createEcKeyPair();
  const outcome = await send(device.token, requestFor(ec, device.challenge));
  assert.ok(outcome.kind === 'answer' && outcome.refusal === 'message');
  await certificateFor(device.token, requestFor(first, device.challenge));
});

test('damaged messages and unknown tokens are told apart from refusals', async () => {
  const device = await fixture.offeredDevice();
  const { der } = requestFor(first, device.challenge);
  for (const message of [
    new Uint8Array(),
    Buffer.from('hello'),
    der.subarray(0, der.length - 20),
    Buffer.alloc(4096),
  ]) {
    const outcome = await scep.handleScep({ operation: 'PKIOperation', token: device.token, message });
    assert.equal(outcome.kind, 'malformed');
  }
  const unknown = await scep.handleScep({ operation: 'PKIOperation', token: 'x'.repeat(43), message: der });
  assert.equal(unknown.kind, 'unknown-token');
});

test('a request at another instance is told the owner, and a marked account steps back', async () => {
  const device = await fixture.offeredDevice();
  const request = requestFor(first, device.challenge);
  const { there, here } = fixture;
  const elsewhere = createScepService({ ...serviceOptions, instanceId: there.id });
  assert.deepEqual(
    await elsewhere.handleScep({ operation: 'PKIOperation', token: device.token, message: request.der }),
    { kind: 'not-owner', owner: here.srpIdentifier },
  );
  await fixture.mark(device.accountId);
  assert.deepEqual(await send(device.token, request), { kind: 'moving' });
  assert.equal((await stored(device.deviceId))?.state, 'offered');
});

test('an identity under a move that commits in mid-statement is not written', async () => {
  const device = await fixture.offeredDevice();
  const request = requestFor(first, device.challenge);
  const outcome = await fixture.moveUnder(device.accountId, () => send(device.token, request));
  assert.deepEqual(outcome, { kind: 'not-owner', owner: fixture.there.srpIdentifier });
  const row = await stored(device.deviceId);
  assert.equal(row?.state, 'offered');
  assert.equal(row?.fingerprint, null);
});

test('the same message, 100 times at once and again later, is opened once and gets one answer', async () => {
  const device = await fixture.offeredDevice();
  const request = requestFor(first, device.challenge);
  const opened = scep.opened;
  const sendIt = async () => {
    const outcome = await send(device.token, request);
    assert.ok(outcome.kind === 'answer', outcome.kind);
    assert.equal(
      outcome.body.buffer.byteLength,
      outcome.body.length,
      'what is remembered keeps nothing else in memory',
    );
    return outcome.body.toString('hex');
  };
  const answers = await Promise.all(Array.from({ length: 100 }, sendIt));
  answers.push(await sendIt());
  assert.deepEqual([new Set(answers).size, scep.opened - opened], [1, 1]);
  await fixture.db`update device set state = 'gone' where id = ${device.deviceId}`;
  assert.equal(await refusalOf(device.token, request), 'not-enrolling', 'no answer outlives what it was given for');
});

test('an answer is not given again once another identity is the present one', async () => {
  const device = await fixture.offeredDevice();
  const request = requestFor(first, device.challenge);
  const identity = await certificateFor(device.token, request);
  await certificateFor(device.token, requestFor(second, '', { key: first.privateKey, certificateDer: identity }));
  assert.equal(await refusalOf(device.token, request), 'another-key');
});

test('of the many messages of one token few wait, and another token is served beside them', async () => {
  const [busy, quiet] = [await fixture.offeredDevice(), await fixture.offeredDevice()];
  const wrong = Array.from({ length: 50 }, () => requestFor(first, 'wrong'));
  const right = requestFor(second, quiet.challenge);
  const opened = scep.opened;
  const crowd = wrong.map((request) => send(busy.token, request));
  await certificateFor(quiet.token, right);
  const outcomes = await Promise.all(crowd);
  const answered = outcomes.filter(({ kind }) => kind === 'answer').length;
  assert.equal(outcomes.filter(({ kind }) => kind === 'busy').length, 50 - answered);
  assert.ok(answered >= 4 && answered < 50, `${answered} of the busy token were answered`);
  assert.equal(scep.opened - opened, answered + 1);
  assert.equal(
    (await answerTo(busy.token, wrong[49] ?? right)).refusal,
    'challenge',
    'a request refused as busy may be retried',
  );
});

test('requests by other protocols have the same places: of the many of one token few wait', async () => {
  const [busy, quiet] = [await fixture.offeredDevice(), await fixture.offeredDevice()];
  const ec = await createEcKeyPair();
  const issue = ({ token, challenge }: typeof busy, transactionId: string) =>
    scep.issue({
      ...{ token, message: Buffer.from(transactionId) },
      asked: { challenge, renews: null, publicKeySpkiDer: spkiDerOf(ec.publicKey), transactionId },
    });
  const crowd = Array.from({ length: 50 }, (_, n) => issue(busy, String(n)));
  assert.equal((await issue(quiet, '')).kind, 'certificate');
  const outcomes = await Promise.all(crowd);
  const issued = outcomes.filter((outcome) => outcome.kind === 'certificate');
  assert.equal(outcomes.filter(({ kind }) => kind === 'busy').length, 50 - issued.length);
  assert.ok(issued.length >= 4 && issued.length < 50, `${issued.length} of the busy token were answered`);
  assert.equal(new Set(issued.map(({ certificateDer }) => fingerprintOf(certificateDer))).size, 1);
  assert.equal((await issue(busy, '49')).kind, 'certificate', 'a request refused as busy may be retried');
  await fixture.db`update device set state = 'gone' where id = ${busy.deviceId}`;
  assert.deepEqual(await issue(busy, '49'), { kind: 'refused', refusal: 'not-enrolling' });
});
