import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { createLargeMessages, largeFromBytes } from './large-messages.ts';

const small = Buffer.alloc(largeFromBytes);
const large = Buffer.alloc(largeFromBytes + 1);

/** A clock that stands still but for what reading takes; rests end when the test says so. */
function standingClock() {
  let now = 0;
  const rests: { durationMs: number; end: () => void }[] = [];
  const clock: Clock = {
    now: () => now,
    sleep: (durationMs) => new Promise((resolve) => rests.push({ durationMs, end: resolve })),
  };
  return {
    clock,
    rests,
    pass: (durationMs: number) => {
      now += durationMs;
    },
  };
}

test('of two devices one large message after the other is read in turns, and after each the loop rests as long', async () => {
  const { clock, rests, pass } = standingClock();
  const messages = createLargeMessages(clock);
  const order: string[] = [];
  const read = (token: string, durationMs: number) =>
    messages.inTurn(token, large, () => {
      order.push(token);
      pass(durationMs);
    });
  const reading = Promise.all([read('a', 70), read('a', 80), read('a', 90), read('b', 10)]);
  for (const expected of [['a'], ['a', 'a'], ['a', 'a', 'b']]) {
    await turnOfTheLoop();
    assert.deepEqual(order, expected);
    rests.at(-1)?.end();
  }
  await reading;
  assert.deepEqual(order, ['a', 'a', 'b', 'a']);
  assert.deepEqual(
    rests.map((rest) => rest.durationMs),
    [70, 80, 10, 90],
  );
});

test('a small message waits for nobody, and what one device brings beyond its places is refused for it alone', async () => {
  const { clock, rests } = standingClock();
  const messages = createLargeMessages(clock);
  const read: string[] = [];
  const bring = (token: string, body = large) => messages.inTurn(token, body, () => void read.push(token));
  const ofOne = [bring('a'), bring('a'), bring('a'), bring('a')];
  await assert.rejects(bring('a'), { code: 'ERR_OVERLOADED' });
  await bring('a', small);
  const other = bring('b');
  while (read.length < 6) {
    await turnOfTheLoop();
    rests.at(-1)?.end();
  }
  await Promise.all([...ofOne, other]);
});

test('a message that cannot be read is its sender’s error, and the next one has its turn', async () => {
  const { clock, rests } = standingClock();
  const messages = createLargeMessages(clock);
  const refused = messages.inTurn('a', large, () => {
    throw new RangeError('unreadable');
  });
  await assert.rejects(refused, RangeError);
  const next = messages.inTurn('a', large, () => 'read');
  rests[0]?.end();
  assert.equal(await next, 'read');
});
