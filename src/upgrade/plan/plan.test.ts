/** What every plan says: costs, waves, canaries, features, and what was found before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { budgetSchema } from '../../api/budget.ts';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { isBrambleError } from '../../base/errors.ts';
import { planText } from '../report/report-text.ts';
import { expectedTimes } from './expected-times.ts';
import { planUpgrade } from './plan.ts';
import type { PlanFacts } from './plan-facts.ts';
import { facts, options } from './plan-facts-fixture.ts';
import { testRehearsal } from './rehearsal-fixture.ts';

test('supervisors of an earlier release are listed with what brings the new one', () => {
  const behind = { ...facts, supervisorsBehind: ['one (1.1 or earlier)'] };
  const notes = planUpgrade(behind, options).notes.join(' ');
  assert.match(notes, /Supervisors to be upgraded: one \(1\.1 or earlier\).*releases\/1\.1\.0\/bramble\.mjs" up/);
  assert.doesNotMatch(planUpgrade(facts, options).notes.join(' '), /Supervisors/);
});

test('the preview says what the newest rehearsal measured, and what the waves take with the plan’s own options', () => {
  const plan = planUpgrade(facts, { ...options, canaries: ['a0'], soakSeconds: 1200 });
  const text = planText(plan, expectedTimes(plan, 'planned', testRehearsal));
  assert.match(
    text,
    /\nTime\n {2}fence: the administration is away for about 62\.5 s, of which 61\.0 s expand the schema, as rehearsed with the data of 2026-11-27 /,
  );
  assert.match(text, /\n {2}backfill: 002-devices 40\.0 s \(1 row\)\n/);
  assert.match(
    text,
    /\n {2}waves: at least 82\.5 min: 2\.5 min of sending, and 4 waves, each observed for 20\.0 min\n/,
  );
  const unmeasured = planText(plan, expectedTimes(plan, 'planned', undefined));
  assert.doesNotMatch(unmeasured, /fence:|backfill:/);
  assert.match(unmeasured, /\nTime\n {2}waves: at least 82\.5 min/);
});

test('times are expected until the administration is back, and those of the waves while their options stand', () => {
  const plan = planUpgrade(facts, options);
  const fenced = expectedTimes(plan, 'admin-fenced', testRehearsal);
  assert.deepEqual([fenced?.rehearsed?.awaySeconds, fenced?.waves], [62.5, null]);
  assert.equal(expectedTimes(plan, 'admin-upgraded', testRehearsal), undefined);
});

test('a rehearsal that said no go measured nothing that is expected; why it did stands in the plan', () => {
  const failed = { ...testRehearsal, obstacles: ['1.0.0 did not start.'] };
  const plan = planUpgrade({ ...facts, target: { ...facts.target, rehearsed: failed } }, options);
  assert.ok(plan.notes.includes('Rehearsed with the data of 2026-11-27T08:00:00Z, it was no go: 1.0.0 did not start.'));
  assert.equal(expectedTimes(plan, 'planned', failed)?.rehearsed, null);
  assert.doesNotMatch(planUpgrade(facts, options).notes.join(), /ehearsed/);
});

test('the costs are those of the real counts under the tighter of both rates', () => {
  const plan = planUpgrade(facts, options);
  assert.equal(plan.sends.itPolicies + plan.sends.serviceBooks + plan.sends.synchronizations, 100);
  assert.equal(plan.sends.leastMinutes, 2.5);
});

test('20,000 accounts with 60,000 deliveries take 3.3 hours at the usual rates, and the preview says so', () => {
  const domain: PlanFacts = {
    ...facts,
    instances: ['a', 'b', 'c', 'd'].map((name) => ({ name, host: 'one', connectionServices: [], reaches: '' })),
    accounts: Array.from({ length: 20_000 }, (_, index) => ({ name: `n${index}`, instance: 'abcd'.charAt(index % 4) })),
    deliveries: { itPolicies: 20_000, serviceBooks: 20_000, synchronizations: 20_000 },
    budget: budgetSchema.parse({}),
  };
  assert.equal(domain.budget.perMinuteDomain, 300);
  const plan = planUpgrade(domain, options);
  assert.equal(plan.sends.leastMinutes, 200);
  assert.match(planText(plan), /20000 synchronizations; with this budget at least 3\.3 h/);
  const nights = planUpgrade(domain, planOptionsSchema.parse({ windows: ['daily 22:00-24:00 UTC'] }));
  assert.match(
    planText(nights),
    /windows: daily 22:00-24:00 UTC\.\n.*sending ends on 2026-11-28 23:20 UTC at the earliest/,
  );
});

test('features that only the target knows are shown as locked, and few accounts as a smaller sample', () => {
  const plan = planUpgrade(facts, options);
  assert.deepEqual(
    plan.lockedFeatures.map((feature) => feature.name),
    ['shared-connection-services'],
  );
  assert.equal(plan.waves[0]?.leastRequests, 49, 'as many good ones as rule out that a tenth fails');
  const chosen = planUpgrade(facts, planOptionsSchema.parse({ gate: { leastRequests: 24 } }));
  assert.equal(chosen.waves[0]?.leastRequests, 24);
  assert.match(chosen.notes.join(' '), /satisfied with 24 requests, as configured/);
});

test('a wave whose accounts have no device is named: its gate would wait for nothing until the deadline', () => {
  const canaries = ['a1'];
  const notes = (devices: number) => {
    const accounts = facts.accounts.map((account) => (account.name === 'a1' ? { ...account, devices } : account));
    return planUpgrade({ ...facts, accounts }, planOptionsSchema.parse({ canaries })).notes.join(' ');
  };
  assert.match(notes(0), /The gate of the wave “canary” has nothing to judge by: a1 has no device\./);
  assert.doesNotMatch(notes(1), /nothing to judge by/);
});

test('canaries are named as accounts are, and if nobody is left to follow them, the plan says so', () => {
  const few = { ...facts, accounts: facts.accounts.slice(0, 4) };
  const note = /All accounts move in one wave, so nothing is tried on a few first/;
  const chosen = planUpgrade(few, planOptionsSchema.parse({ canaries: [' A1'] }));
  assert.deepEqual([chosen.options.canaries, chosen.waves[0]?.accounts], [['a1'], 1]);
  assert.doesNotMatch(planText(chosen), note);
  assert.match(planText(planUpgrade(few, options)), note);
  assert.throws(() => planUpgrade(few, planOptionsSchema.parse({ canaries: ['a1', 'A1'] })), {
    code: 'ERR_UPGRADE_CANARY',
    message: /named twice: a1/,
  });
});

test('a step that is none is refused', () => {
  assert.throws(
    () => planUpgrade({ ...facts, target: { release: '1.2.0', features: [], differences: [] } }, options),
    (error) => isBrambleError(error, 'ERR_RELEASE_STEP'),
  );
});

test('a plan survives being stored, with keys that this release does not know', () => {
  const stored = JSON.parse(JSON.stringify({ ...planUpgrade(facts, options), later: { key: 1 } }));
  assert.deepEqual(upgradePlanSchema.parse(stored), stored);
});
