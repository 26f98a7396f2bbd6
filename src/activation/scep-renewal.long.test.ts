/** SCEP: an identity renews itself, and no other does. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createTestDatabase } from '../database/database-fixture.ts';
import { parseCertRep } from '../protocol/scep/client-message.ts';
import { fingerprintOf } from '../protocol/x509/certificate-fields.ts';
import { createScepService } from './scep-service.ts';
import { createScepFixture, type Renewal } from './scep-service-fixture.ts';

const { url } = await createTestDatabase();
const {
  fixture,
  serviceOptions,
  ra,
  requestFor,
  send,
  certificateFor,
  refusalOf,
  stored,
  keys: [first, second, third],
} = await createScepFixture(url);
after(async () => {
  await fixture.close();
});

test('the present identity renews itself, once for each, and an earlier one renews nothing more', async () => {
  const device = await fixture.offeredDevice();
  const identity = await certificateFor(device.token, requestFor(first, device.challenge));
  await fixture.db`update device set state = 'active' where id = ${device.deviceId}`;
  const present = { key: first.privateKey, certificateDer: identity };
  const request = requestFor(second, '', present);
  const renewed = await certificateFor(device.token, request);
  assert.equal((await stored(device.deviceId))?.fingerprint, fingerprintOf(renewed));
  assert.equal((await stored(device.deviceId))?.state, 'active');
  assert.deepEqual(await certificateFor(device.token, request), renewed);
  assert.equal(await refusalOf(device.token, requestFor(third, '', present)), 'not-the-present-identity');
});

test('an identity that has ended renews itself once renewals are active, and nobody else does', async () => {
  const late = createScepService({
    ...serviceOptions,
    renewalActive: async () => true,
    now: async () => new Date(Date.now() + 400 * 86_400_000),
  });
  const [device, other] = [await fixture.offeredDevice(), await fixture.offeredDevice()];
  const identity = await certificateFor(device.token, requestFor(first, device.challenge));
  const foreign = await certificateFor(other.token, requestFor(third, other.challenge));
  await fixture.db`
    update device set state = 'active', identity_expires_at = now() - interval '35 days' where id = ${device.deviceId}`;
  const statusOf = async (renew: Renewal) => {
    const request = requestFor(second, '', renew);
    const outcome = await late.handleScep({ operation: 'PKIOperation', token: device.token, message: request.der });
    assert.ok(outcome.kind === 'answer', outcome.kind);
    return parseCertRep(outcome.body, request, ra).status;
  };
  assert.equal(await statusOf({ key: third.privateKey, certificateDer: foreign }), 'failure');
  assert.equal(await statusOf({ key: first.privateKey, certificateDer: identity }), 'success');
});

test('the identity of another enrolment renews nothing', async () => {
  const [mine, other] = [await fixture.offeredDevice(), await fixture.offeredDevice()];
  await certificateFor(mine.token, requestFor(first, mine.challenge));
  const foreign = await certificateFor(other.token, requestFor(second, other.challenge));
  const request = requestFor(third, mine.challenge, { key: second.privateKey, certificateDer: foreign });
  assert.equal(await refusalOf(mine.token, request), 'not-the-present-identity');
});

test('a renewal under a move that commits in mid-statement is not written', async () => {
  const device = await fixture.offeredDevice();
  const identity = await certificateFor(device.token, requestFor(first, device.challenge));
  const request = requestFor(second, '', { key: first.privateKey, certificateDer: identity });
  const outcome = await fixture.moveUnder(device.accountId, () => send(device.token, request));
  assert.equal(outcome.kind, 'not-owner');
  assert.equal((await stored(device.deviceId))?.fingerprint, fingerprintOf(identity));
});
