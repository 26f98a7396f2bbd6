import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPushPause } from './push-pause.ts';

function pauseByClock() {
  const clock = { time: 1_000_000, now: () => clock.time };
  return { clock, pause: createPushPause(clock, 500) };
}

test('pauses double up to a minute, with up to half as much jitter, and a success makes the next a first one', () => {
  const { clock, pause } = pauseByClock();
  assert.equal(pause.remainingMs(), 0);
  const delays = Array.from({ length: 9 }, () => {
    const delayMs = pause.begin() ?? 0;
    const remainingMs = pause.remainingMs();
    assert.ok(remainingMs >= delayMs && remainingMs <= delayMs * 1.5);
    clock.time += delayMs * 1.5;
    assert.equal(pause.remainingMs(), 0);
    return delayMs;
  });
  assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  pause.reset();
  assert.equal(pause.begin(), 500);
});

test('failures during a pause do not lengthen it', () => {
  const { pause } = pauseByClock();
  assert.equal(pause.begin(), 500);
  const remainingMs = pause.remainingMs();
  assert.equal(pause.begin(), undefined);
  assert.equal(pause.remainingMs(), remainingMs);
});
