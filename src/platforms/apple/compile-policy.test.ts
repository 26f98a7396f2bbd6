import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as z from 'zod';
import { compareVersions } from '../../base/dotted-version.ts';
import { isBrambleError } from '../../base/errors.ts';
import { mergePolicies, type PolicyLayer } from '../../policies/effective-policy.ts';
import { domain } from '../../policies/fleet-fixture.ts';
import { preconfiguredPolicies } from '../../policies/preconfigured-policies.ts';
import { featuresNeeded, parseRules, type Rule, type RuleTable, rules } from '../../policies/rules.ts';
import { parseProfile } from '../../protocol/apple/profile.ts';
import { agentReaders } from '../agent/platform.ts';
import type { PolicyFacts } from '../order.ts';
import { compilePolicy as compileFor } from './compile-policy.ts';
import { appleReaders } from './platform.ts';
import { rulePlaces } from './rule-payloads.ts';

const phone = { platform: 'apple', product: 'iPhone15,2', osVersion: '18.1', softwareVersion: null } as const;
const computer = { platform: 'apple', product: 'MacBookPro18,3', osVersion: '15.0', softwareVersion: null } as const;
const oldAgent = { platform: 'agent', product: null, osVersion: null, softwareVersion: '3.9' } as const;
const release = '1.0.0';
const advanced = preconfiguredPolicies['Advanced Security'] ?? {};

function readersOf({ platform }: PolicyFacts['device']) {
  return platform === 'agent' ? agentReaders : appleReaders;
}

function compilePolicy({ table, ...facts }: PolicyFacts & { table?: RuleTable }) {
  return compileFor(facts, readersOf(facts.device), { table: table ?? rules, places: rulePlaces });
}

test('the preconfigured policies are the seven that administrators know, and all their rules are valid', () => {
  assert.equal(Object.keys(preconfiguredPolicies).length, 7);
  for (const policy of Object.values(preconfiguredPolicies)) assert.deepEqual(parseRules(policy), policy);
});

test('a rule that this release does not know is refused when it is stored, also when it is named like an object’s own', () => {
  for (const name of ['noSuchRule', 'constructor', '__proto__', 'toString']) {
    const input = JSON.parse(`{"${name}": true}`) as unknown;
    assert.throws(
      () => parseRules(input),
      (error) => isBrambleError(error, 'ERR_POLICY_RULE_UNKNOWN'),
    );
  }
});

test('a value outside its rule is refused when it is stored', () => {
  for (const input of [
    { passwordMinimumLength: 17 },
    { passwordMinimumLength: '4' },
    { allowCamera: 1 },
    [],
    null,
    'x',
  ]) {
    assert.throws(
      () => parseRules(input),
      (error) => isBrambleError(error, 'ERR_POLICY_RULE_VALUE'),
    );
  }
});

test('every rule has a place in the profiles, and no two have the same key of the same payload', () => {
  assert.deepEqual(Object.keys(rulePlaces).sort(), Object.keys(rules).sort());
  const keys = Object.values(rulePlaces).map(({ payload, key }) => `${payload} ${key}`);
  assert.equal(new Set(keys).size, keys.length);
  assert.ok(keys.length >= 10);
  for (const name of Object.keys(agentReaders.rules)) assert.ok(Object.hasOwn(rulePlaces, name), name);
});

test('a policy becomes one profile with a password payload and a restrictions payload', () => {
  const compiled = compilePolicy({ domain, rules: advanced, device: phone, release });
  const profile = parseProfile(compiled.bytes);
  assert.equal(profile.identifier, `bramble.${domain.domainId}.it-policy`);
  assert.equal(profile.topLevel?.['BrambleRelease'], '1.0.0');
  assert.deepEqual(
    profile.payloads.map((payload) => [payload.type, payload.identifier]),
    [
      ['com.apple.mobiledevice.passwordpolicy', `${profile.identifier}.password`],
      ['com.apple.applicationaccess', `${profile.identifier}.restrictions`],
    ],
  );
  assert.equal(profile.payloads[0]?.content['minLength'], 8);
  assert.equal(profile.payloads[0]?.content['forcePIN'], true);
  assert.equal(profile.payloads[1]?.content['allowCamera'], false);
  assert.deepEqual(compiled.skipped, []);
});

test('rules that a kind of device does not know are left out and reported, the others are sent', () => {
  const forComputer = compilePolicy({ domain, rules: advanced, device: computer, release });
  assert.ok(forComputer.skipped.some((part) => part.name === 'allowCloudBackup' && part.reason === 'not-for-device'));
  assert.equal(parseProfile(forComputer.bytes).payloads[1]?.content['allowCamera'], false);
  const forAgent = parseProfile(compilePolicy({ domain, rules: advanced, device: oldAgent, release }).bytes);
  assert.equal(forAgent.payloads[1]?.content['allowScreenShot'], false);
});

test('a stored rule of another release, or with a value that is no longer allowed, blocks nothing but itself', () => {
  const compiled = compilePolicy({
    domain,
    rules: { allowCamera: false, ruleOfTheFuture: 3, passwordMinimumLength: 99 },
    device: phone,
    release,
  });
  assert.deepEqual(
    compiled.skipped.map((part) => [part.name, part.reason]),
    [
      ['passwordMinimumLength', 'invalid'],
      ['ruleOfTheFuture', 'unknown'],
    ],
  );
  const [only, ...others] = parseProfile(compiled.bytes).payloads;
  assert.deepEqual(others, []);
  assert.equal(only?.content['allowCamera'], false);
});

test('a compiler with a further rule emits its default for a policy that never heard of it, under the same identifier', () => {
  const further: Rule = {
    group: 'security',
    description: 'A rule of the next release.',
    value: z.boolean(),
    combination: 'rank',
    default: false,
  };
  const least = { ios: '17.0' };
  const places = {
    ...rulePlaces,
    further: { payload: 'com.apple.applicationaccess', key: 'allowFurther', least },
  } as const;
  const readers = { ...appleReaders, rules: { ...appleReaders.rules, further: least } };
  const compileNext = (facts: PolicyFacts) => compileFor(facts, readers, { table: { ...rules, further }, places });
  const before = compilePolicy({ domain, rules: advanced, device: phone, release });
  const after = compileNext({ domain, rules: advanced, device: phone, release: '1.1.0' });
  assert.equal(after.identifier, before.identifier);
  assert.notEqual(after.revision, before.revision);
  const profile = parseProfile(after.bytes);
  assert.equal(profile.payloads[1]?.content['allowFurther'], false);
  assert.equal(profile.topLevel?.['BrambleRelease'], '1.1.0');
  assert.deepEqual(
    compileNext({ domain, rules: advanced, device: computer, release })
      .skipped.map((part) => part.name)
      .includes('further'),
    false,
  );
  const chosen = compileNext({ domain, rules: { further: true }, device: phone, release });
  assert.equal(parseProfile(chosen.bytes).payloads[0]?.content['allowFurther'], true);
});

test('every kind of device gets a new IT policy from 1.1, whose rules hold by default for policies of before', () => {
  const before = Object.fromEntries(Object.entries(rules).filter(([, rule]) => rule.feature === undefined));
  const apple = (product: string, osVersion: string) => ({ ...phone, product, osVersion });
  const biometric = { allowFingerprintForUnlock: true };
  const both = { allowActivityContinuation: true, allowApplePersonalizedAdvertising: true, ...biometric };
  for (const [device, added] of [
    [oldAgent, biometric],
    [{ ...oldAgent, softwareVersion: '4.2' }, biometric],
    [apple('iPhone9,3', '13.7'), { allowActivityContinuation: true, ...biometric }],
    [apple('iPhone9,3', '15.7'), { ...both, requireManagedPasteboard: false }],
    [phone, { ...both, requireManagedPasteboard: false }],
    [apple('MacBookPro17,1', '13.6'), both],
    [apple('MacBookPro11,1', '11.7'), { allowActivityContinuation: true, ...biometric }],
  ] as const) {
    for (const policy of Object.values(preconfiguredPolicies)) {
      const old = compilePolicy({ domain, rules: policy, device, release, table: before });
      const compiled = compilePolicy({ domain, rules: policy, device, release });
      assert.equal(compiled.identifier, old.identifier);
      assert.notEqual(compiled.revision, old.revision);
      assert.deepEqual(compiled.skipped, old.skipped);
      const content = (bytes: Uint8Array) =>
        parseProfile(bytes).payloads.find((payload) => payload.type === 'com.apple.applicationaccess')?.content ?? {};
      assert.deepEqual(content(compiled.bytes), { ...content(old.bytes), ...added });
    }
  }
});

test('the rules that 1.0 lacks need their feature, have a default, and stand in no preconfigured policy', () => {
  const later = ['allowBiometricUnlock', 'allowHandoff', 'allowPersonalizedAdvertising', 'requireManagedPasteboard'];
  assert.deepEqual(
    Object.keys(rules).filter((name) => rules[name]?.feature === 'it-policy-rules-2'),
    later,
  );
  assert.ok(later.every((name) => rules[name]?.default !== undefined));
  assert.deepEqual(featuresNeeded(['allowCamera', 'noSuchRule', 'toString', ...later]), ['it-policy-rules-2']);
  for (const policy of Object.values(preconfiguredPolicies)) assert.deepEqual(featuresNeeded(Object.keys(policy)), []);
});

const anyRules = fc.record(
  {
    passwordRequired: fc.boolean(),
    passwordMinimumLength: fc.integer({ min: 0, max: 16 }),
    allowCamera: fc.boolean(),
    allowScreenShot: fc.boolean(),
    allowBrowser: fc.boolean(),
  },
  { requiredKeys: [] },
);

test('the same rules are the same bytes in whatever order they come, and other rules are another revision and UUID', () => {
  fc.assert(
    fc.property(anyRules, anyRules, (first, second) => {
      const a = compilePolicy({ domain, rules: first, device: phone, release });
      const reversed = Object.fromEntries(Object.entries(first).reverse());
      assert.deepEqual(compilePolicy({ domain, rules: reversed, device: phone, release }), a);
      const b = compilePolicy({ domain, rules: second, device: phone, release });
      const same =
        mergePolicies([layer('user', null, first)]).identity === mergePolicies([layer('user', null, second)]).identity;
      assert.equal(a.revision === b.revision, same);
      assert.equal(parseProfile(a.bytes).uuid === parseProfile(b.bytes).uuid, same);
    }),
  );
});

function layer(source: PolicyLayer['source'], rank: number | null, values: PolicyLayer['rules']): PolicyLayer {
  return { source, rank, policyName: `${source}${rank ?? ''}`, rules: values };
}

test('user beats group beats Default, and between groups the lower rank wins, rule by rule', () => {
  const merged = mergePolicies([
    layer('default', null, { allowCamera: true, allowScreenShot: true, allowBrowser: true, passwordRequired: false }),
    layer('group', 20, { allowCamera: false, allowScreenShot: false, passwordMinimumLength: 4 }),
    layer('group', 3, { allowScreenShot: true, passwordMinimumLength: 6 }),
    layer('user', null, { passwordMinimumLength: 8 }),
  ]);
  assert.deepEqual(merged.rules, {
    allowBrowser: true,
    allowCamera: false,
    allowScreenShot: true,
    passwordMinimumLength: 8,
    passwordRequired: false,
  });
  assert.deepEqual(merged.origins, {
    allowBrowser: 'default',
    allowCamera: 'group20',
    allowScreenShot: 'group3',
    passwordMinimumLength: 'user',
    passwordRequired: 'default',
  });
});

test('merging does not depend on the order of the layers, and its identity only on the outcome', () => {
  fc.assert(
    fc.property(anyRules, anyRules, anyRules, (user, first, second) => {
      const layers = [layer('user', null, user), layer('group', 1, first), layer('group', 2, second)];
      const merged = mergePolicies(layers);
      assert.deepEqual(mergePolicies([...layers].reverse()), merged);
      assert.equal(mergePolicies([layer('default', null, merged.rules)]).identity, merged.identity);
    }),
  );
});

test('versions compare by their numbers', () => {
  for (const [a, b, sign] of [
    ['4.0', '4', 0],
    ['4.0', '3.9', 1],
    ['4.10', '4.9', 1],
    ['17.0.1', '17.0', 1],
    ['', '0', 0],
    ['beta', '0', 0],
    ['5.0-beta2', '5.0', 0],
    ['10', '9.9.9', 1],
  ] as const) {
    assert.equal(Math.sign(compareVersions(a, b)), sign, `${a} ${b}`);
    assert.equal(Math.sign(compareVersions(b, a)), sign === 0 ? 0 : -sign, `${b} ${a}`);
  }
});

test('a device’s family comes from its product, an agent’s version from its device software', () => {
  const { kindOf } = appleReaders;
  assert.deepEqual(kindOf(phone), { family: 'ios', version: '18.1' });
  assert.deepEqual(kindOf({ ...phone, product: 'iPad13,1', osVersion: null }), { family: 'ios', version: '0' });
  for (const product of ['Mac14,2', 'iMac21,1', 'MacBookAir10,1', 'VirtualMac2,1']) {
    assert.equal(kindOf({ ...phone, product }).family, 'macos');
  }
  assert.deepEqual(agentReaders.kindOf(oldAgent), { family: 'agent', version: '3.9' });
});
