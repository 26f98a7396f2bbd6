/** What every plan says: costs, waves, canaries, features, and what was found before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { budgetSchema } from '../../api/budget.ts';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { isBrambleError } from '../../base/errors.ts';
import { planText } from '../report/report-text.ts';
import { planUpgrade } from './plan.ts';
import type { PlanFacts } from './plan-facts.ts';
import { facts, options } from './plan-facts-fixture.ts';
import type { Rehearsal } from './rehearsal-record.ts';

test('supervisors of an earlier release are listed with what brings the new one', () => {
  const behind = { ...facts, supervisorsBehind: ['one (1.1 or earlier)'] };
  const notes = planUpgrade(behind, options).notes.join(' ');
  assert.match(notes, /Supervisors to be upgraded: one \(1\.1 or earlier\).*releases\/1\.1\.0\/bramble\.mjs" up/);
  assert.doesNotMatch(planUpgrade(facts, options).notes.join(' '), /Supervisors/);
});

test('what a rehearsal with data measured, and found against the upgrade, stands in the plan', () => {
  const rehearsed: Rehearsal = {
    ...{ domainId: 'x', fromRelease: '1.0.0', toRelease: '1.1.0', rehearsedAt: 'x', rehearsedBy: 'ada' },
    backup: { id: 'x', file: '/b', takenAt: '2026-11-27T08:00:00Z' },
    ...{ rows: 900, accounts: 24, found: [], obstacles: [], moving: null },
    times: { restoreMs: 9000, expandMs: 61_000, migrations: [], oldStartMs: 800, newStartMs: 1500 },
  };
  const notesWith = (change: Partial<Rehearsal>) =>
    planUpgrade({ ...facts, target: { ...facts.target, rehearsed: { ...rehearsed, ...change } } }, options).notes;
  assert.ok(
    notesWith({}).includes(
      'Rehearsed with the data of 2026-11-27T08:00:00Z (24 accounts, 900 rows): the schema was expanded in 61.0 s, and the ' +
        'administration would be away for about 62.5 s.',
    ),
  );
  assert.match(
    notesWith({ obstacles: ['1.0.0 did not start.'] }).join(),
    /What speaks against it: 1\.0\.0 did not start\./,
  );
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
