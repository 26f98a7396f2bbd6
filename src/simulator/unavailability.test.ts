import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { percentile, unavailabilityMs } from './unavailability.ts';

const everyTenMs = Array.from({ length: 100 }, (_, number) => 1000 + number * 10);

test('a steady loop has no unavailability', () => {
  assert.equal(unavailabilityMs(everyTenMs, { fromMs: 1200, toMs: 1500 }), 0);
});

test('a gap counts less the usual time between two, also where it only touches the window', () => {
  const withGap = everyTenMs.filter((time) => time <= 1300 || time >= 1400);
  assert.equal(unavailabilityMs(withGap, { fromMs: 1200, toMs: 1500 }), 90);
  assert.equal(unavailabilityMs(withGap, { fromMs: 1350, toMs: 1360 }), 90);
  assert.equal(unavailabilityMs(withGap, { fromMs: 1500, toMs: 1600 }), 0);
});

test('a loop that never succeeded again counts to the end of the window, one without success all of it', () => {
  assert.equal(unavailabilityMs([1000, 1010, 1020], { fromMs: 1000, toMs: 2000 }), 970);
  assert.equal(unavailabilityMs([], { fromMs: 1000, toMs: 2000 }), 1000);
});

test('unavailability is never negative and never longer than the whole time watched', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(10_000)), fc.nat(10_000), fc.nat(10_000), (times, from, length) => {
      const sorted = times.sort((left, right) => left - right);
      const result = unavailabilityMs(sorted, { fromMs: from, toMs: from + length });
      assert.ok(result >= 0 && result <= 20_000);
    }),
  );
});

test('percentiles are of the nearest rank', () => {
  assert.equal(percentile([], 0.5), 0);
  assert.equal(percentile([3, 1, 2], 0.5), 2);
  assert.equal(percentile([3, 1, 2], 1), 3);
});
