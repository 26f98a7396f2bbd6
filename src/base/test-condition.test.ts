import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, whenWaitedInVain } from './test-condition.ts';

test('what is waited for in vain is named, with the last error and how everything stands', async () => {
  let asked = 0;
  const nevermore = whenWaitedInVain(async () => {
    asked += 1;
    return '(how the test of test conditions stands)';
  });
  await until('it is so', 1000, () => true);
  assert.equal(asked, 0);
  const failing = () => {
    throw new Error('it is not');
  };
  await assert.rejects(until('it is so', 1, failing), /in 1 ms it did not come about that it is so: it is not/);
  assert.equal(asked, 1);
  nevermore();
  await assert.rejects(until('it is so', 1, () => false));
  assert.equal(asked, 1);
});
