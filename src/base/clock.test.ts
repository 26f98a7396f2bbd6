import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasPassed } from './clock.ts';

test('a time has passed at its end, and at once where it began at a date that a wrong clock told', () => {
  const at = (ms: number) => ({ now: () => ms });
  assert.equal(hasPassed(at(1999), 1000, 1000), false);
  assert.equal(hasPassed(at(2000), 1000, 1000), true);
  assert.equal(hasPassed(at(1000), 1000 + 365 * 86_400_000, 1000), true);
  assert.equal(hasPassed(at(0), Number.NEGATIVE_INFINITY, 1000), true, 'never before');
});
