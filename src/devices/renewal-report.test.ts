import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identitySettingsSchema } from '../domain/identity-settings.ts';
import { identityRenewal, type RenewalFacts } from './renewal-report.ts';

const settings = identitySettingsSchema.parse({});
const now = new Date('2027-03-01T12:00:00Z');
const facts: RenewalFacts = {
  ...{ dueAt: '2027-02-01T00:00:00+00:00', attempts: 0, open: false, issued: false, settledAt: null, failure: null },
};
const stateOf = (changed: Partial<RenewalFacts>) => {
  const renewal = identityRenewal({ ...facts, ...changed }, settings, now);
  return renewal && [renewal.state, renewal.text];
};

test('a renewal has one state, and says what comes next', () => {
  const settledAt = '2027-03-01T11:00:00+00:00';
  assert.equal(stateOf({ dueAt: null }), null);
  assert.deepEqual(stateOf({ dueAt: '2027-04-01T00:00:00+00:00' }), ['not-due', 'from 2027-04-01T00:00Z on']);
  assert.deepEqual(stateOf({}), ['due', 'waiting for its turn']);
  assert.deepEqual(stateOf({ open: true, attempts: 2 }), ['under-way', 'on its way to the device (2 tries)']);
  assert.deepEqual(stateOf({ attempts: 3, settledAt, failure: 'the device answered with an error' }), [
    'failed',
    'the device answered with an error; retried from 2027-03-01T13:00Z on (3 tries)',
  ]);
  assert.deepEqual(stateOf({ attempts: 1, settledAt }), [
    'failed',
    'the new identity was not used; retried from 2027-03-01T11:30Z on',
  ]);
  assert.equal(stateOf({ attempts: 1, settledAt, issued: true })?.[0], 'unused');
  // Tried by hand before its time: nothing tries it again by itself until then.
  assert.deepEqual(stateOf({ dueAt: '2027-04-01T00:00:00+00:00', attempts: 1, settledAt, failure: 'an error' }), [
    'not-due',
    'an error; the next attempt is not due before 2027-04-01T00:00Z (`bramble device resend` attempts it now)',
  ]);
});
