/** How requests are counted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Allowances } from './rate-limits.ts';

test('what was used up comes back by and by, and the memory of it has an end', () => {
  let now = 0;
  const allowances = new Allowances({ burst: 2, perSecond: 4 }, () => now);
  assert.deepEqual(
    [1, 2, 3].map(() => allowances.take('a')),
    [0, 0, 1],
  );
  assert.equal(allowances.take('b'), 0);
  now = 250;
  assert.deepEqual(
    [1, 2].map(() => allowances.take('a')),
    [0, 1],
  );
  now = 60_000;
  assert.deepEqual(
    [1, 2, 3].map(() => allowances.take('a')),
    [0, 0, 1],
    'never more than at once',
  );
  for (let other = 0; other < 10_000; other++) allowances.take(`other-${other}`);
  assert.equal(allowances.take('a'), 0);
});
