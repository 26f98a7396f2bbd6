import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deviceKinds, planFleet } from './fleet-plan.ts';
import { ordinaryRetry, retryDelayMs } from './retry-delay.ts';
import { seededRandom } from './seeded-random.ts';

test('one seed always plans the same fleet, another seed another', () => {
  assert.deepEqual(planFleet('a', 50, 30), planFleet('a', 50, 30));
  assert.notDeepEqual(planFleet('a', 50, 30), planFleet('b', 50, 30));
});

test('devices differ in all that identifies them, every kind and every account takes part', () => {
  const fleet = planFleet('seed', 100, 24);
  for (const identity of ['name', 'udid', 'serialNumber', 'pushMagic'] as const) {
    assert.equal(new Set(fleet.map(({ plan }) => plan[identity])).size, 100);
  }
  assert.equal(new Set(fleet.map(({ plan }) => plan.pushToken.toString('hex'))).size, 100);
  assert.equal(new Set(fleet.map(({ account }) => account)).size, 24);
  assert.equal(new Set(planFleet('seed', 8, 8).map(({ plan }) => plan.kind.name)).size, deviceKinds.length);
});

test('a device is planned alike however large the fleet is', () => {
  assert.deepEqual(planFleet('seed', 10, 5), planFleet('seed', 200, 5).slice(0, 10));
});

test('random numbers keep to their ranges and depend on the seed alone', () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 1000 }), (seed, limit) => {
      const left = seededRandom(seed);
      const right = seededRandom(seed);
      for (let draw = 0; draw < 20; draw += 1) {
        const number = left.integer(limit);
        assert.equal(number, right.integer(limit));
        assert.ok(number >= 0 && number < limit);
      }
      left.fork('x').next();
      assert.equal(left.next(), right.next());
    }),
  );
});

test('retries come later and later, up to the cap', () => {
  const random = seededRandom('retry');
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const delayMs = retryDelayMs(ordinaryRetry, attempt, random);
    const middleMs = Math.min(10_000, 100 * 2 ** Math.min(attempt, 20));
    assert.ok(delayMs >= middleMs * 0.7 && delayMs <= middleMs * 1.3);
  }
});
