import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertCanaries } from './canaries.ts';
import { reuseWaves } from './reuse-plan.ts';

const names = Array.from({ length: 2_000 }, (_, index) => `a${String(index).padStart(4, '0')}`);
const accounts = names.map((name, index) => ({ name, instance: index < 1_500 ? 'east' : 'west' }));

test('a canary that is not at the first instance is in the first wave, and in no other', () => {
  const waves = reuseWaves(accounts, ['east', 'west'], { canaries: ['a1700', 'a0003'], canariesPerInstance: 2 });
  assert.deepEqual(
    waves.map(({ number, name, accounts: { length } }) => [number, name, length]),
    [
      [1, 'canary', 2],
      [2, 'east', 1_499],
      [3, 'west', 499],
    ],
  );
});

test('how often each canary is looked at does not grow with the accounts, nor with the canaries', () => {
  let looks = 0;
  const canaries = new Proxy(names.slice(500), {
    get: (target, property) => {
      looks += 1;
      return Reflect.get(target, property);
    },
  });
  assertCanaries(accounts, canaries);
  const waves = reuseWaves(accounts, ['east', 'west'], { canaries, canariesPerInstance: 2 });
  assert.deepEqual(
    waves.map(({ accounts: { length } }) => length),
    [1_500, 500],
  );
  assert.ok(looks < 10 * canaries.length, `${looks} looks at ${canaries.length} canaries`);
});
