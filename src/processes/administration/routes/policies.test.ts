/** IT policies over REST. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { codeOf, startAdministration, whileUpgrading } from '../administration-fixture.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

test('a policy is stored with rules of this release only, and assigned to accounts and groups', async () => {
  const unknown = await admin.call('POST', '/it-policies', { name: 'strict', rules: { noSuchRule: true } });
  assert.deepEqual([unknown.status, codeOf(unknown.body)], [400, 'ERR_POLICY_RULE_UNKNOWN']);
  const made = await admin.call('POST', '/it-policies', { name: 'strict', rules: { passwordRequired: true } });
  assert.equal(made.status, 201);
  assert.equal((await admin.call('POST', '/it-policies', { name: 'strict' })).status, 409);
  await admin.call('POST', '/accounts', { name: 'cy' });
  assert.deepEqual((await admin.call('PUT', '/accounts/cy/it-policy', { policy: 'strict' })).body, {
    deliveriesOwed: 0,
  });
  assert.equal((await admin.call('PUT', '/accounts/cy/it-policy', { policy: 'absent' })).status, 404);
  const rules = (await admin.call('GET', '/it-policies/rules')).body as { rules: { name: string }[] };
  assert.ok(rules.rules.some((rule) => rule.name === 'passwordMinimumLength'));
  assert.equal((await admin.call('DELETE', '/it-policies/strict')).status, 200);
  assert.equal((await admin.call('DELETE', '/it-policies/Default')).status, 409);
});

test('rules of this release are refused, naming what holds them back, until their feature is active', async () => {
  const rules = { allowBiometricUnlock: false, passwordRequired: true };
  const locked = { status: 409, code: 'ERR_FEATURE_LOCKED', lockedBy: ['old-server', 'upgrade'] };
  const lockedAnswer = ({ status, body }: { status: number; body: unknown }) => ({
    status,
    code: codeOf(body),
    lockedBy: (body as { details: { lockedBy: unknown } }).details.lockedBy,
  });
  assert.equal((await admin.call('POST', '/it-policies', { name: 'later', rules: {} })).status, 201);
  await whileUpgrading(admin, async () => {
    assert.deepEqual(lockedAnswer(await admin.call('POST', '/it-policies', { name: 'new', rules })), locked);
    assert.deepEqual(lockedAnswer(await admin.call('PUT', '/it-policies/later', { rules })), locked);
    assert.equal((await admin.call('PUT', '/it-policies/later', { rules: { passwordRequired: true } })).status, 200);
  });
  assert.equal((await admin.call('PUT', '/it-policies/later', { rules })).status, 200);
  const listed = (await admin.call('GET', '/it-policies/rules')).body as {
    rules: { name: string; default: unknown; feature: unknown }[];
  };
  const listedRule = listed.rules.find((rule) => rule.name === 'allowBiometricUnlock');
  assert.deepEqual([listedRule?.default, listedRule?.feature], [true, 'it-policy-rules-2']);
});
