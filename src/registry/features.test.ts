import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ComponentKind, componentKinds } from './components.ts';
import { type Feature, featureStates } from './features.ts';

const feature: Feature = { name: 'failover', since: '1.1.0', summary: 'Several.', kinds: ['server', 'connection'] };
const component = (name: string, kind: ComponentKind, ...features: string[]) => ({ name, kind, features });

test('a feature is held back by each component that needs it and has it not, and by the upgrade', () => {
  const components = [
    component('server-1', 'server', 'failover'),
    component('server-2', 'server', 'another'),
    component('connection-1', 'connection'),
    component('router-1', 'router'),
  ];
  const [state] = featureStates([feature], '1.0.0', components);
  assert.deepEqual(state, {
    ...{ name: 'failover', summary: 'Several.', active: false },
    lockedBy: ['server-2', 'connection-1', 'upgrade'],
  });
});

test('it is active when the level is reached and nobody holds it back', () => {
  const components = [component('server-1', 'server', 'failover'), component('router-1', 'router')];
  for (const level of ['1.1.0', '1.10.0', '2.0.0']) {
    assert.deepEqual(featureStates([feature], level, components)[0]?.lockedBy, [], level);
  }
  assert.deepEqual(featureStates([feature], '1.0.9', components)[0]?.lockedBy, ['upgrade']);
});

test('a feature is active exactly when nothing locks it, and a further component never unlocks one', () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const kind = fc.constantFrom(...componentKinds);
  const release = fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2)).map((parts) => parts.join('.'));
  const features = fc.array(
    fc.record({ name, since: release, summary: fc.constant(''), kinds: fc.uniqueArray(kind) }),
    { maxLength: 4 },
  );
  const components = fc.array(fc.record({ name: fc.string(), kind, features: fc.uniqueArray(name) }));
  fc.assert(
    fc.property(features, release, components, (known, level, registered) => {
      const all = featureStates(known, level, registered);
      const fewer = featureStates(known, level, registered.slice(1));
      assert.equal(all.length, known.length);
      all.forEach((state, index) => {
        assert.equal(state.active, state.lockedBy.length === 0);
        if (state.active) assert.ok(fewer[index]?.active);
      });
    }),
  );
});
