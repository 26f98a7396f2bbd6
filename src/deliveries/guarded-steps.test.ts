import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGuardedSteps } from './guarded-steps.ts';

function stepsWithLog() {
  const logged: unknown[] = [];
  return { logged, steps: createGuardedSteps({ error: (fields: unknown) => void logged.push(fields) }) };
}

test('a step that fails is counted and logged by name, and the next one runs', async () => {
  const { logged, steps } = stepsWithLog();
  await steps.take('first', () => Promise.reject(new Error('no database')));
  let ran = false;
  await steps.take('second', async () => {
    ran = true;
  });
  assert.ok(ran);
  assert.equal(steps.failed(), 1);
  assert.deepEqual(logged, [{ step: 'first', error: 'no database' }]);
});

test('work in the background is waited for, and its failure is counted as well', async () => {
  const { steps } = stepsWithLog();
  const { promise, resolve } = Promise.withResolvers<void>();
  steps.inBackground('one', () => promise);
  steps.inBackground('other', () => promise.then(() => Promise.reject(new Error('later'))));
  const settled = steps.settled().then(() => steps.failed());
  assert.equal(steps.failed(), 0);
  resolve();
  assert.equal(await settled, 1);
});
