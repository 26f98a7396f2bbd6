import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createShares } from './shares.ts';

test('after any number of accounts each destination has its share of them, give or take one', () => {
  const shares = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(shares, fc.integer({ min: 1, max: 200 }), (given, accounts) => {
      const takers = given.map((share, index) => ({ name: `n${index}`, share }));
      const all = given.reduce((sum, share) => sum + share, 0);
      const taken = new Map<string, number>();
      const sharing = createShares();
      for (let count = 0; count < accounts; count++) {
        const name = sharing.next(takers)?.name ?? '';
        taken.set(name, (taken.get(name) ?? 0) + 1);
      }
      for (const { name, share } of takers) {
        const fair = (accounts * share) / all;
        assert.ok(
          Math.abs((taken.get(name) ?? 0) - fair) <= takers.length - 1,
          `${name}: ${taken.get(name)} of ${fair}`,
        );
      }
    }),
  );
});

test('what goes somewhere already counts, and without a destination there is none', () => {
  const [one, two] = [{ name: 'one' }, { name: 'two', share: 2 }];
  const sharing = createShares(new Map([['two', 4]]));
  sharing.count(one);
  assert.deepEqual(
    Array.from({ length: 4 }, () => sharing.next([one, two])?.name),
    ['one', 'two', 'one', 'two'],
  );
  assert.equal(sharing.next([]), undefined);
});
