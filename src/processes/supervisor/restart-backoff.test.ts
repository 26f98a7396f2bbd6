import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RestartBackoff } from './restart-backoff.ts';
import { healthyLifeMs, type ProcessSpec, restartDelayMs } from './slot-step.ts';

const spec: ProcessSpec = { name: 'one', kind: 'server', release: '1.0.0', settings: {}, databaseUrl: null };

/** A backoff after so many failures in a row. */
function failedTimes(times: number): RestartBackoff {
  const backoff = new RestartBackoff();
  for (let n = 0; n < times; n += 1) backoff.fail(spec, 0);
  return backoff;
}

test('every failure in a row waits longer, and is remembered with the time of the next attempt', () => {
  const backoff = failedTimes(2);
  assert.equal(backoff.fail(spec, 1000), restartDelayMs(3));
  assert.ok(restartDelayMs(3) > restartDelayMs(2));
  assert.deepEqual(backoff.failure, { spec, notBeforeMs: 1000 + restartDelayMs(3) });
});

test('a process that lived long enough or served starts the delays over, any other continues them', () => {
  const healthy = failedTimes(3);
  healthy.lived(healthyLifeMs);
  assert.equal(healthy.fail(spec, 0), restartDelayMs(1));
  const serving = failedTimes(3);
  serving.succeed();
  assert.equal(serving.fail(spec, 0), restartDelayMs(1));
  const brief = failedTimes(3);
  brief.lived(healthyLifeMs - 1);
  assert.equal(brief.fail(spec, 0), restartDelayMs(4));
});

test('what is wanted anew need not wait, and a process that serves does not shorten a wait', () => {
  const backoff = failedTimes(3);
  const { failure } = backoff;
  backoff.succeed();
  assert.equal(backoff.failure, failure);
  backoff.forget();
  assert.equal(backoff.failure, null);
  assert.equal(backoff.fail(spec, 0), restartDelayMs(1));
});
