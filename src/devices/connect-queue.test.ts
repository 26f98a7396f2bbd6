import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createConnectQueue, type WaitingConnect } from './connect-queue.ts';

function entry(token: string, sinceMs: number): WaitingConnect {
  const request = {
    ...{ token, fingerprint: 'f', overTls: true, enrolment: 'u', status: 'idle' as const },
    ...{ commandId: null, answer: null, inventory: null, options: null },
  };
  return { request, sinceMs, resolve: () => undefined, reject: () => undefined };
}

test('a device’s next request is taken only when the one before was served, and keeps its place until then', () => {
  const queue = createConnectQueue({ maxWaiting: 10, maxWaitingOfDevice: 10 });
  for (const [index, token] of ['a', 'a', 'b', 'a', 'c'].entries()) queue.add(entry(token, index));
  const places = (batch: readonly WaitingConnect[]) => batch.map(({ sinceMs }) => sinceMs);
  const first = queue.take(2);
  assert.deepEqual(places(first), [0, 2]);
  assert.equal(queue.oldest()?.sinceMs, 1);
  const second = queue.take(2);
  assert.deepEqual(places(second), [4]);
  queue.release(first);
  const third = queue.take(2);
  assert.deepEqual(places(third), [1]);
  assert.deepEqual(places(queue.take(2)), []);
  queue.release(third);
  assert.deepEqual(places(queue.take(2)), [3]);
  assert.equal(queue.size(), 0);
});

test('a device has no more room than its share, however its requests come and go', () => {
  const step = fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('take' as const, 'release' as const));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = createConnectQueue({ maxWaiting: 5, maxWaitingOfDevice: 2 });
      const waiting: string[] = [];
      let served: WaitingConnect[] = [];
      for (const [index, what] of steps.entries()) {
        if (what === 'take') {
          const taken = queue.take(2);
          for (const { request } of taken) waiting.splice(waiting.indexOf(request.token), 1);
          served = [...served, ...taken];
          assert.equal(new Set(served.map(({ request }) => request.token)).size, served.length);
        } else if (what === 'release') {
          queue.release(served);
          served = [];
        } else {
          const hasRoom = waiting.length < 5 && waiting.filter((token) => token === what).length < 2;
          assert.equal(queue.hasRoomFor(what), hasRoom);
          if (!hasRoom) continue;
          queue.add(entry(what, index));
          waiting.push(what);
        }
        assert.equal(queue.size(), waiting.length);
      }
    }),
  );
});
