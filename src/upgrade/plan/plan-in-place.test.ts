/** Plans of patches, which go in place unless told otherwise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import { isBrambleError } from '../../base/errors.ts';
import { planText } from '../report/report-text.ts';
import { planUpgrade } from './plan.ts';
import type { PlanFacts } from './plan-facts.ts';
import { facts, options } from './plan-facts-fixture.ts';

const patchFacts: PlanFacts = { ...facts, target: { release: '1.0.1', features: [], differences: [] } };

test('a patch goes in place unless told otherwise: the fewest accounts first, nothing added and nothing sent', () => {
  const plan = planUpgrade(patchFacts, options);
  assert.deepEqual([plan.patch, plan.inPlace, plan.instances], [true, true, []]);
  assert.equal(
    plan.needs.processes + plan.needs.srpCredentials + plan.sends.itPolicies + plan.sends.synchronizations,
    0,
  );
  const sizes = plan.waves.map(({ accounts }) => accounts);
  assert.ok((sizes[0] ?? 0) <= (sizes[1] ?? 0), String(sizes));
  assert.deepEqual(plan.replacements.map(({ name }) => name).sort(), ['east', 'west']);
  const moving = planUpgrade(patchFacts, planOptionsSchema.parse({ inPlace: false }));
  assert.deepEqual([moving.patch, moving.inPlace, moving.instances.length], [true, false, 2]);
  const named = planUpgrade(patchFacts, planOptionsSchema.parse({ instances: { east: { name: 'new-east' } } }));
  assert.equal(named.inPlace, false, 'whoever names new instances wants them');
});

test('in place every wave keeps to the order of sizes, and an instance without accounts, the last, has no gate on requests', () => {
  const sizes = { a: 0, b: 30, c: 10, d: 20 };
  const names = Object.keys(sizes);
  const accounts = Object.entries(sizes).flatMap(([instance, size]) =>
    Array.from({ length: size }, (_, index) => ({ name: `${instance}-${index}`, instance })),
  );
  const instances = names.map((name) => ({ name, host: 'one', connectionServices: [], reaches: '' }));
  const plan = planUpgrade(
    { ...patchFacts, accounts, instances },
    planOptionsSchema.parse({ wavePercentages: [50, 75, 100] }),
  );
  assert.deepEqual(
    plan.waves.map(({ name, accounts, leastRequests }) => [name, accounts, leastRequests > 0]),
    [
      ['c', 10, true],
      ['d', 20, true],
      ['b', 30, true],
      ['a', 0, false],
    ],
  );
  assert.match(planText(plan), /4\. a: 0 accounts, watched for processes that exit unexpectedly/);
});

test('in place the instance of a chosen canary goes first, and a shared connection service once', () => {
  const shared: PlanFacts = {
    ...patchFacts,
    instances: patchFacts.instances.map((instance) => ({ ...instance, connectionServices: ['mds'], reaches: '' })),
  };
  for (const { name, instance } of facts.accounts) {
    const plan = planUpgrade(shared, planOptionsSchema.parse({ canaries: [name] }));
    assert.equal(plan.replacements[0]?.name, instance);
    assert.deepEqual(
      plan.replacements.map(({ processes }) => processes.slice(1)),
      [['mds'], []],
    );
  }
});

test('whichever way a patch takes, its plan says who signed it, and that supervisors may stay', () => {
  const target = { ...patchFacts.target, signed: 'not signed, and accepted by name: who built it is not proven' };
  const behind: PlanFacts = { ...patchFacts, target, supervisorsBehind: ['one (1.0.0)'] };
  for (const inPlace of [true, false]) {
    const notes = planUpgrade(behind, planOptionsSchema.parse({ inPlace })).notes.join(' ');
    assert.match(notes, /The release 1\.0\.1 is not signed, and accepted by name/);
    assert.match(notes, /Supervisors may stay as they are: one \(1\.0\.0\)\./);
    assert.doesNotMatch(notes, /to be upgraded/);
  }
});

test('a patch by its number alone, and a minor release in place, are refused with what they are', () => {
  const differing = { ...patchFacts, target: { ...patchFacts.target, differences: ['the feature x is added'] } };
  assert.throws(
    () => planUpgrade(differing, options),
    (error) => isBrambleError(error, 'ERR_RELEASE_NOT_PATCH') && /feature x is added/.test(error.message),
  );
  for (const wish of [
    { facts, inPlace: true },
    { facts: patchFacts, inPlace: true, instances: { east: {} } },
  ]) {
    const { facts: given, ...wanted } = wish;
    assert.throws(
      () => planUpgrade(given, planOptionsSchema.parse(wanted)),
      (error) => isBrambleError(error, 'ERR_UPGRADE_IN_PLACE'),
    );
  }
});
