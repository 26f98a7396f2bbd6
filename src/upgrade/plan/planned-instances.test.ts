/** Which instances a plan adds, or takes again once they are empty, where they are placed, and what they may take. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import { isBrambleError } from '../../base/errors.ts';
import { planText } from '../report/report-text.ts';
import { planUpgrade } from './plan.ts';
import type { PlanFacts } from './plan-facts.ts';
import { facts, options } from './plan-facts-fixture.ts';
import { freeName } from './planned-instances.ts';

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
