import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createBackgroundWork } from './background-work.ts';

test('ending aborts what was started, and waits for it', async () => {
  const work = createBackgroundWork();
  const ended: string[] = [];
  for (const name of ['one', 'other']) {
    work.start(async (signal) => {
      await once(signal, 'abort');
      await new Promise(setImmediate);
      ended.push(name);
    });
  }
  assert.deepEqual(ended, []);
  await work.end();
  assert.deepEqual(ended, ['one', 'other']);
});

test('ending rejects if work failed on the way out', async () => {
  const work = createBackgroundWork();
  const failure = new Error('not written');
  work.start(async (signal) => {
    await once(signal, 'abort');
    throw failure;
  });
  await assert.rejects(work.end(), failure);
});

test('what is repeated is done at its interval, and no more after the end', async ({ mock }) => {
  mock.timers.enable({ apis: ['setInterval'] });
  const work = createBackgroundWork();
  let times = 0;
  work.every(1000, async () => {
    times++;
  });
  mock.timers.tick(2999);
  assert.equal(times, 2);
  await work.end();
  mock.timers.tick(5000);
  assert.equal(times, 2);
});
