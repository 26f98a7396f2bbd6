import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { createChore } from './upkeep.ts';

test('a chore is done once in its interval, and goes on when a clock that was ahead is put right', () => {
  const clock = { ...systemClock, time: 1_000_000, now: () => clock.time };
  const isDue = createChore(clock, 5000);
  const done = [0, 4999, 1, 365 * 86_400_000, -365 * 86_400_000, 4999, 1].map((passedMs) => {
    clock.time += passedMs;
    return isDue();
  });
  assert.deepEqual(done, [true, false, true, true, true, false, true]);
});
