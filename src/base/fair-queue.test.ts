import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { endingWithin } from '../testing/property.ts';
import { createFairQueue, type FairQueue, type Place } from './fair-queue.ts';

const roomy = { lanes: ['a', 'b'], maxInProgress: 1, maxPlaces: 1000, maxPlacesOfKey: 1000 };

function entered(queue: FairQueue, lane: string, key: string): Place {
  const place = queue.enter(lane, key);
  assert.ok(place);
  return place;
}

/** Brings the work in this order, and answers in which it was taken up. */
async function orderOf(queue: FairQueue, brought: readonly (readonly [lane: string, key: string])[]) {
  const order: string[] = [];
  await Promise.all(
    brought.map(async ([lane, key]) => {
      const place = entered(queue, lane, key);
      await place.turn();
      order.push(lane + key);
      await new Promise(setImmediate);
      place.leave();
    }),
  );
  return order;
}

test('work is taken up in turns of the lanes, in them of the keys, in these as it came', async () => {
  const brought = ['a1', 'a1', 'a1', 'a2', 'a2', 'a3', 'b1', 'b1'].map(
    (text) => [text[0] ?? '', text[1] ?? ''] as const,
  );
  assert.deepEqual(await orderOf(createFairQueue(roomy), brought), ['a1', 'b1', 'a1', 'b1', 'a2', 'a3', 'a1', 'a2']);
});

test('whoever comes last waits for one piece of every other key of the lane, and as many of the other lane', async () => {
  const work = fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2', '3', '4')), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(work, async (brought) => {
      const order = await orderOf(createFairQueue(roomy), [...brought, ['a', 'late']]);
      const others = new Set(brought.filter(([lane]) => lane === 'a').map(([, key]) => key)).size;
      // The first of all was taken up before anyone else was there.
      assert.ok(order.indexOf('alate') <= 2 * (others + 1), order.join());
      assert.equal(order.length, brought.length + 1);
    }),
    { numRuns: 200, ...endingWithin() },
  );
});

test('no more is under way than may be, and what waits begins as others leave', async () => {
  const queue = createFairQueue({ ...roomy, maxInProgress: 2 });
  const begun: number[] = [];
  const places = [0, 1, 2, 3].map((index) => {
    const place = entered(queue, 'a', String(index));
    void place.turn().then(() => begun.push(index));
    return place;
  });
  await new Promise(setImmediate);
  assert.deepEqual([begun, queue.waiting], [[0, 1], 2]);
  places[1]?.leave();
  places[1]?.leave();
  await new Promise(setImmediate);
  assert.deepEqual([begun, queue.waiting], [[0, 1, 2], 1]);
});

test('places are bounded by key and by lane, one lane leaves the other its room, and they come back', () => {
  const queue = createFairQueue({ ...roomy, maxPlaces: 3, maxPlacesOfKey: 2 });
  const first = entered(queue, 'a', '1');
  entered(queue, 'a', '1');
  assert.equal(queue.enter('a', '1'), undefined);
  entered(queue, 'a', '2');
  assert.equal(queue.enter('a', '3'), undefined);
  entered(queue, 'b', '1');
  first.leave();
  entered(queue, 'a', '3');
  assert.equal(queue.enter('a', '1'), undefined, 'the lane is full');
});

test('of one key no more is under way than may be, and what others bring begins before it', async () => {
  const queue = createFairQueue({ ...roomy, maxInProgress: 3, maxInProgressOfKey: 1 });
  const begun: string[] = [];
  const places = ['1', '1', '1', '2'].map((key, index) => {
    const place = entered(queue, 'a', key);
    void place.turn().then(() => begun.push(key + index));
    return place;
  });
  await new Promise(setImmediate);
  assert.deepEqual([begun, queue.waiting], [['10', '23'], 2]);
  places[3]?.leave();
  await new Promise(setImmediate);
  assert.deepEqual(begun, ['10', '23'], 'the room of others is not for it');
  places[0]?.leave();
  await new Promise(setImmediate);
  assert.deepEqual([begun, queue.waiting], [['10', '23', '11'], 1]);
});
