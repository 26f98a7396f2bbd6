import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { isBrambleError } from '../base/errors.ts';
import { createTestAuthority, type TestAuthority } from './link-fixture.ts';
import { normalSerial, revocationListShape } from './messages.ts';
import { authorityKeyOf, openEnvelope, signEnvelope } from './signed-envelope.ts';

let domain: TestAuthority;
before(async () => {
  domain = await createTestAuthority('Domain');
});
const list = { number: 3, revoked: [], cleared: [] };

test('what the domain signed is opened', () => {
  const key = authorityKeyOf(domain.certificatePem);
  assert.deepEqual(openEnvelope(signEnvelope(list, domain.key), revocationListShape, key), list);
});

test('changed bytes, another signer and another shape are not believed', async () => {
  const key = authorityKeyOf(domain.certificatePem);
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

test('serial numbers have one form', () => {
  assert.equal(normalSerial('00:0A:FF'), normalSerial('aff'));
  assert.equal(normalSerial('0'), '0');
});
