import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createBell } from './bell.ts';

test('a bell that rings while nobody rests ends the next rest, and only that one', async () => {
  const rests: boolean[] = [];
  const bell = createBell({
    sleep: async (_durationMs, signal) => {
      rests.push(signal?.aborted === true);
    },
  });
  const signal = new AbortController().signal;
  bell.ring();
  bell.ring();
  await bell.rest(1000, signal);
  await bell.rest(1000, signal);
  assert.deepEqual(rests, [true, false]);
});

test('of several waiters, one that wakes late takes no ring from the next waiter', async () => {
  const wakes: (() => void)[] = [];
  const aborted: (boolean | undefined)[] = [];
  const bell = createBell({
    sleep: async (_durationMs, signal) => {
      aborted.push(signal?.aborted);
      await new Promise<void>((resolve) => wakes.push(resolve));
    },
  });
  const { signal } = new AbortController();
  const [early, late] = [bell.rest(1000, signal), bell.rest(1000, signal)];
  bell.ring();
  wakes[0]?.();
  await early;
  bell.ring();
  wakes[1]?.();
  await late;
  void bell.rest(1000, signal);
  assert.deepEqual(aborted, [false, false, true]);
});

test('a rest that is called off takes no ring from another one', async () => {
  const bell = createBell();
  const calledOff = new AbortController();
  const first = bell.rest(2 ** 31 - 1, calledOff.signal);
  const other = bell.rest(2 ** 31 - 1, AbortSignal.timeout(20_000));
  calledOff.abort();
  await first;
  bell.ring();
  const woken = await Promise.race([
    other.then(() => true),
    once(AbortSignal.timeout(10_000), 'abort').then(() => false),
  ]);
  assert.ok(woken);
});
