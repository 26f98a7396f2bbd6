/** The past of moved accounts that a coordinator keeps: all of it, in room that has a bound. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { GateMemory } from './gate-past.ts';

const past = (n: number) => ({ committedAt: 1.7e9 + n / 7, requests: n + 2, failed: n % 3, latency: [0, n, 2] });

/** After a garbage collection. */
function bytesInUse(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test('what was remembered of an account is what is told of it, also once it moved again', () => {
  const pasts = new GateMemory().of('wave');
  const ids = Array.from({ length: 2500 }, () => randomUUID());
  for (const [n, id] of ids.entries()) pasts.set(id, past(n));
  const told = (id: string) => {
    const { latency = [], ...counts } = pasts.get(id) ?? {};
    return { ...counts, latency: [...latency].slice(0, 3) };
  };
  for (const [n, id] of ids.entries()) assert.deepEqual(told(id), past(n));
  const [first = ''] = ids;
  pasts.set(first, { ...past(1), latency: [5] });
  assert.deepEqual(told(first), { ...past(1), latency: [5, 0, 0] });
  assert.equal(pasts.get(randomUUID()), undefined);
});

test('of 100,000 accounts it takes less than 30 MB, and more are not remembered', () => {
  const before = bytesInUse();
  const pasts = new GateMemory().of('wave');
  const latency = Array.from({ length: 31 }, (_, bin) => bin + 1);
  for (let n = 0; n < 110_000; n++) pasts.set(randomUUID(), { ...past(n), latency });
  const bytes = bytesInUse() - before;
  assert.ok(bytes < 30e6, `${bytes} bytes`);
  const late = randomUUID();
  pasts.set(late, past(1));
  assert.equal(pasts.get(late), undefined);
});
