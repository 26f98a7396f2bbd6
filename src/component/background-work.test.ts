import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createBackgroundWork } from './background-work.ts';

test('ending aborts what was started, and waits for it', async () => {
  const work = createBackgroundWork(assert.ifError);
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
  const work = createBackgroundWork(assert.ifError);
  const failure = new Error('not written');
  work.start(async (signal) => {
    await once(signal, 'abort');
    throw failure;
  });
  await assert.rejects(work.end(), failure);
});

test('ending waits for all work, even if some of it failed', async () => {
  const work = createBackgroundWork(assert.ifError);
  const failure = new Error('not written');
  let written = false;
  work.start(async (signal) => {
    await once(signal, 'abort');
    throw failure;
  });
  work.start(async (signal) => {
    await once(signal, 'abort');
    await new Promise(setImmediate);
    written = true;
  });
  await assert.rejects(work.end(), failure);
  assert.equal(written, true);
});

test('a failure before the end is one of the process, and ending is as usual', async () => {
  const failed = Promise.withResolvers<unknown>();
  const work = createBackgroundWork(failed.resolve);
  const failure = new Error('it cannot go on');
  const ended: string[] = [];
  work.start(async () => {
    throw failure;
  });
  work.start(async (signal) => {
    await once(signal, 'abort');
    ended.push('other');
  });
  assert.equal(await failed.promise, failure);
  await work.end();
  assert.deepEqual(ended, ['other']);
});

test('ending waits for what is being repeated', async ({ mock }) => {
  mock.timers.enable({ apis: ['setInterval'] });
  const work = createBackgroundWork(assert.ifError);
  const order: string[] = [];
  const written = Promise.withResolvers<void>();
  work.every(1000, async () => {
    await written.promise;
    order.push('written');
  });
  mock.timers.tick(1000);
  const ending = work.end().then(() => order.push('ended'));
  await new Promise(setImmediate);
  written.resolve();
  await ending;
  assert.deepEqual(order, ['written', 'ended']);
});

test('what is repeated is done at its interval, and no more after the end', async ({ mock }) => {
  mock.timers.enable({ apis: ['setInterval'] });
  const work = createBackgroundWork(assert.ifError);
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
