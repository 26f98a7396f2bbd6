import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { budgetSchema } from '../../api/budget.ts';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { isBrambleError } from '../../base/errors.ts';
import { planText } from '../report/report-text.ts';
import { planUpgrade } from './plan.ts';
import type { PlanFacts } from './plan-facts.ts';
import { freeName } from './planned-instances.ts';
import type { Rehearsal } from './rehearsal-record.ts';

const options = planOptionsSchema.parse({});
const facts: PlanFacts = {
  now: new Date('2026-11-27T20:00:00Z'),
  fromRelease: '1.0.0',
  featureLevel: '1.0.0',
  target: { release: '1.1.0', features: ['old', 'shared-connection-services'], differences: [] },
  knownFeatures: ['old'],
  accounts: Array.from({ length: 24 }, (_, index) => ({
    name: `a${index}`,
    instance: index % 2 === 0 ? 'east' : 'west',
    devices: index < 16 ? 2 : 1,
  })),
  foundCanaries: undefined,
  instances: [
    { name: 'east', host: 'one', connectionServices: ['east-mds'], reaches: '' },
    { name: 'west', host: 'one', connectionServices: ['west-mds'], reaches: '' },
  ],
  takenNames: ['east', 'west', 'east-mds', 'west-mds', 'router'],
  hosts: ['one'],
  drainingHosts: [],
  deliveries: { itPolicies: 40, serviceBooks: 30, synchronizations: 30 },
  budget: budgetSchema.parse({ perMinuteDomain: 100, perMinuteInstance: 20 }),
  losses: [],
  supervisorsBehind: [],
};

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

test('each instance gets a counterpart with a connection service and credentials of its own', () => {
  const plan = planUpgrade(facts, options);
  assert.deepEqual(
    plan.instances.map((instance) => instance.name),
    ['east-1-1', 'west-1-1'],
  );
  assert.deepEqual(plan.instances[0]?.connectionServices, [{ name: 'east-mds-1-1', replaces: 'east-mds' }]);
  assert.equal(plan.needs.srpCredentials, 4);
  assert.deepEqual(plan.needs.computers, []);
  assert.deepEqual(plan.losses, []);
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

test('what an instance may take is held against its accounts and devices, and shown', () => {
  const limited = (limits: object) => planUpgrade(facts, planOptionsSchema.parse(limits));
  const plan = limited({ maxAccounts: 12, maxDevices: 20 });
  assert.match(
    planText(plan),
    /east-1-1 for east on one, with east-mds-1-1: 12 of at most 12 accounts, 20 of at most 20 devices/,
  );
  assert.match(planText(planUpgrade(facts, options)), /with east-mds-1-1: 12 accounts, 20 devices/);
  assert.throws(() => limited({ maxAccounts: 11, maxDevices: 19 }), {
    code: 'ERR_UPGRADE_LIMIT',
    message:
      /east-1-1 would take 12 accounts, and may take 11; east-1-1 would take 20 devices, and may take 19; west.*raise/,
  });
});

test('where emptied instances become destinations, one is added, each takes over from the next, and the waves follow them', () => {
  const three: PlanFacts = {
    ...facts,
    instances: ['east', 'north', 'west'].map((name) => ({ name, host: 'one', connectionServices: [], reaches: '' })),
    accounts: ['e1', 'e2', 'e3', 'n1', 'w1', 'w2'].map((name) => ({
      name,
      instance: name.startsWith('e') ? 'east' : name.startsWith('n') ? 'north' : 'west',
    })),
  };
  const reuse = (given: object = {}) => planUpgrade(three, planOptionsSchema.parse({ reuseInstances: true, ...given }));
  const plan = reuse();
  assert.deepEqual(
    plan.instances.map(({ name, replaces, origin }) => [name, replaces, origin]),
    [
      ['north-1-1', 'north', undefined],
      ['north', 'west', 'reused'],
      ['west', 'east', 'reused'],
    ],
  );
  assert.deepEqual(
    plan.waves.map(({ name, accounts }) => `${name} ${accounts}`),
    ['canary 1', 'west 2', 'east 3'],
  );
  assert.deepEqual([plan.needs.processes, plan.needs.srpCredentials], [1, 1]);
  assert.deepEqual(
    reuse({ canaries: ['e1', 'w1'] }).waves.map(({ name, accounts }) => `${name} ${accounts}`),
    ['canary 2', 'north 1', 'west 1', 'east 2'],
  );
  assert.match(planText(plan), /west for east on one, once it is empty: 3 accounts/);
  const patch = { ...three, target: { ...three.target, release: '1.0.1', features: [] } };
  const patched = (given: object) => planUpgrade(patch, planOptionsSchema.parse({ reuseInstances: true, ...given }));
  assert.equal(patched({}).inPlace, false);
  assert.throws(() => patched({ inPlace: true }), { code: 'ERR_UPGRADE_IN_PLACE', message: /omit either --reuse/ });
  const [first, ...others] = three.instances;
  assert.ok(first);
  assert.throws(
    () =>
      planUpgrade(
        { ...three, instances: [{ ...first, reaches: '["mail:993"]' }, ...others] },
        planOptionsSchema.parse({ reuseInstances: true }),
      ),
    { code: 'ERR_UPGRADE_INSTANCE', message: /cannot take over from east: .* reach different internal hosts/ },
  );
});

test('over two hosts emptied instances become destinations by default, and each host keeps as many as it had', () => {
  const [east, west] = facts.instances;
  assert.ok(east && west);
  const over: PlanFacts = { ...facts, instances: [east, { ...west, host: 'two' }], hosts: ['one', 'two'] };
  const plan = (given: object = {}, of: PlanFacts = over) => planUpgrade(of, planOptionsSchema.parse(given));
  const placed = (of: ReturnType<typeof plan>) =>
    of.instances.map(({ name, replaces, host, origin }) => [name, replaces, host, origin]);
  const chosen = plan();
  assert.deepEqual(placed(chosen), [
    ['east-1-1', 'east', 'two', undefined],
    ['east', 'west', 'one', 'reused'],
  ]);
  assert.deepEqual([chosen.options.reuseInstances, chosen.options.oldInstances], [true, 'retire']);
  assert.deepEqual([chosen.needs.processes, chosen.sends.leastMinutes], [2, 5], 'one takes accounts at a time');
  const text = planText(chosen);
  assert.match(text, /Emptied instances become destinations: east upgraded in place.*--no-reuse-instances/);
  assert.match(
    text,
    /Reversing stays possible.*: west, emptied last, runs 1\.0\.0 until then\..*restarts east with 1\.0\.0/,
  );
  assert.match(text, /When finalizing, west is stopped and retired: there are as many instances as before/);

  const without = plan({ reuseInstances: false });
  assert.deepEqual(placed(without), [
    ['east-1-1', 'east', 'one', undefined],
    ['west-1-1', 'west', 'two', undefined],
  ]);
  assert.equal(without.options.oldInstances, 'retire');
  assert.equal(plan({ oldInstances: 'upgrade' }).options.oldInstances, 'upgrade');
  const alone = plan({}, facts);
  assert.deepEqual([alone.options.reuseInstances, alone.options.oldInstances], [false, 'upgrade']);
  const placing = plan({ instances: { west: { host: 'three' } } }, facts);
  assert.deepEqual(placed(placing), [
    ['west-1-1', 'west', 'three', undefined],
    ['west', 'east', 'one', 'reused'],
  ]);
  const each = plan({ instances: { west: { host: 'three' }, east: { host: 'two' } } });
  assert.deepEqual(placed(each), [
    ['east-1-1', 'east', 'two', undefined],
    ['west-1-1', 'west', 'three', undefined],
  ]);
  assert.deepEqual([each.options.reuseInstances, each.options.oldInstances], [false, 'retire']);

  const apart = plan(
    {},
    {
      ...over,
      instances: [
        { ...east, reaches: '["mail:993"]' },
        { ...west, host: 'two' },
      ],
    },
  );
  assert.equal(apart.options.reuseInstances, false);
  assert.match(
    planText(apart),
    /do not become destinations: east cannot take over from west: .* different internal hosts/,
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

test('an instance on a computer that is not there yet is shown as needed', () => {
  const wish = planOptionsSchema.parse({ instances: { east: { name: 'new-east', host: 'two' } } });
  const plan = planUpgrade(facts, wish);
  assert.equal(plan.instances[0]?.name, 'new-east');
  assert.deepEqual(plan.needs.computers, ['two']);
});

test('a plan onto a host that is being drained says so, with what is enough', () => {
  const { notes } = planUpgrade({ ...facts, drainingHosts: ['one'] }, options);
  assert.match(notes[0] ?? '', /being drained: .* on one.*`bramble host drain one --off`.*which is enough/);
  assert.equal(
    planUpgrade(facts, options).notes.some((note) => note.includes('drained')),
    false,
  );
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

test('names lose the suffix of the release before, fit a component name, and are never taken twice', () => {
  assert.equal(freeName('east-1-1', '1.2.0', new Set()), 'east-1-2');
  assert.equal(freeName('east', '1.1.0', new Set(['east-1-1'])), 'east-1-1-b');
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z][a-z0-9-]{0,62}$/), { minLength: 1, maxLength: 80 }), (names) => {
      const taken = new Set<string>();
      const free = names.map((name) => freeName(name, '1.1.0', taken));
      assert.equal(new Set(free).size, free.length);
      for (const name of free) assert.match(name, /^[a-z0-9][a-z0-9-]{0,62}$/);
    }),
  );
});

test('a plan survives being stored, with keys that this release does not know', () => {
  const stored = JSON.parse(JSON.stringify({ ...planUpgrade(facts, options), later: { key: 1 } }));
  assert.deepEqual(upgradePlanSchema.parse(stored), stored);
});

test('an instance without accounts gets no counterpart unless it is asked for by name, and the plan says so', () => {
  const withEmpty: PlanFacts = {
    ...facts,
    instances: [...facts.instances, { name: 'north', host: 'one', connectionServices: ['north-mds'], reaches: '' }],
  };
  const plan = planUpgrade(withEmpty, options);
  assert.deepEqual(
    plan.instances.map(({ replaces }) => replaces),
    ['east', 'west'],
  );
  assert.equal(plan.needs.srpCredentials, 4);
  assert.match(plan.notes.join(' '), /No instance is added for north/);
  const asked = planUpgrade(withEmpty, planOptionsSchema.parse({ instances: { north: {} } }));
  assert.deepEqual(asked.instances.at(-1)?.connectionServices, [{ name: 'north-mds-1-1', replaces: 'north-mds' }]);
});

test('wishes for instances that are not there, and for names that cannot be had, are refused with what there is', () => {
  const refused = (instances: object, message: RegExp) =>
    assert.throws(
      () => planUpgrade(facts, planOptionsSchema.parse({ instances })),
      (error) => isBrambleError(error, 'ERR_UPGRADE_INSTANCE') && message.test(error.message),
    );
  refused({ esat: { host: 'two' } }, /not instances of this domain: esat\. The instances are: east, west/);
  refused({ east: { name: 'router' } }, /router is already taken/);
  refused({ east: { host: '' } }, /For east, `instances` names an empty host/);
  refused({ east: { name: 'Not Good' } }, /Not Good is not a valid instance name/);
  refused({ east: { name: 'same' }, west: { name: 'same' } }, /same is already taken/);
  const wished = planUpgrade(facts, planOptionsSchema.parse({ instances: { west: { name: 'east-1-1' } } }));
  assert.deepEqual(
    wished.instances.map(({ name }) => name),
    ['east-1-1-b', 'east-1-1'],
  );
});

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

test('the accounts of one old instance are spread over several new ones, evenly or by their shares, in every wave', () => {
  const plan = (instances: object, more: object = {}) =>
    planUpgrade(facts, planOptionsSchema.parse({ instances, ...more }));
  const spread = plan({ east: { destinations: [{ host: 'two' }, { host: 'three', share: 2 }] } });
  assert.deepEqual(
    spread.instances.map(({ name, replaces, host, accounts }) => [name, replaces, host, accounts]),
    [
      ['east-1-1', 'east', 'two', 4],
      ['east-1-1-b', 'east', 'three', 8],
      // Over several hosts, east takes over from west once it is empty.
      ['east', 'west', 'one', 12],
    ],
  );
  assert.match(planText(spread), /1 instance more than before, as planned/);
  assert.deepEqual(spread.instances[1]?.connectionServices, [{ name: 'east-mds-1-1-b', replaces: 'east-mds' }]);
  const even = plan({ east: { destinations: [{}, {}] } });
  assert.deepEqual(
    even.instances.map(({ accounts, devices }) => [accounts, devices]),
    [
      [6, 10],
      [6, 10],
      [12, 20],
    ],
  );
  assert.throws(() => plan({ east: { destinations: [{}, {}] } }, { maxAccounts: 5 }), {
    code: 'ERR_UPGRADE_LIMIT',
    message: /east-1-1 would take 6 accounts, and may take 5; .* Plan several destinations/,
  });
  assert.throws(() => plan({ east: { host: 'two', destinations: [{}] } }), {
    code: 'ERR_UPGRADE_INSTANCE',
    message: /says both `destinations` and a name or host/,
  });
  assert.throws(() => plan({ east: { destinations: [{ name: 'same' }, { name: 'same' }] } }), {
    code: 'ERR_UPGRADE_INSTANCE',
    message: /same is already taken/,
  });
});
