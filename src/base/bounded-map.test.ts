import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BoundedMap } from './bounded-map.ts';

test('a bounded map holds what was set last, and never more than its bound', () => {
  const order = fc.record({ key: fc.nat({ max: 9 }), value: fc.nat(), goes: fc.boolean() });
  fc.assert(
    fc.property(fc.array(order, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (orders, maxEntries) => {
      const map = new BoundedMap<number, number>(maxEntries);
      let expected: [number, number][] = [];
      for (const { key, value, goes } of orders) {
        expected = expected.filter(([other]) => other !== key);
        if (goes) map.delete(key);
        else {
          map.set(key, value);
          expected = [...expected, [key, value] as [number, number]].slice(-maxEntries);
        }
        const held = Array.from({ length: 10 }, (_, n) => [n, map.get(n)]).filter(([, kept]) => kept !== undefined);
        assert.deepEqual(new Map(held as [number, number][]), new Map([...expected].sort(([a], [b]) => a - b)));
        assert.equal(map.size, expected.length);
      }
    }),
  );
});
