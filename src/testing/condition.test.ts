import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { inTime, printStates, until, untilDone, WaitedInVain, whenWaitedInVain } from './condition.ts';
import { exitWithin } from './process.ts';

/** A wait that hangs fails here, and does not hold up the others. */
const limited = { timeout: 60_000 };
const never = () => new Promise<never>(() => {});

test('what is waited for in vain is named, with the last error and how everything stands', limited, async () => {
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
  await assert.rejects(
    untilDone('it is done', 1, async () => 'half of it'),
    /that it is done: half of it/,
  );
  assert.equal(asked, 2);
  nevermore();
  await assert.rejects(
    until('it is so', 1, () => false),
    WaitedInVain,
  );
  assert.equal(asked, 2);
});

test('a question that is never answered ends in time too, named and with how everything stands', limited, async () => {
  let asked = 0;
  const nevermore = whenWaitedInVain(async () => {
    asked += 1;
    return '(how the test of test conditions stands)';
  });
  const unanswered = /that it is so.*: the question itself was not answered/;
  await assert.rejects(until('it is so', 10, never), unanswered);
  await assert.rejects(untilDone('it is so', 10, never), /that it is so:.*the question itself was not answered/);
  await assert.rejects(inTime('it is so', 10, never()), /in 10 ms it did not come about that it is so/);
  assert.equal(asked, 3);
  nevermore();
});

test('a state that is never told does not hold up those that are', limited, async () => {
  let told = 0;
  const nevermore = [never, async () => `(told ${++told} times)`].map(whenWaitedInVain);
  await printStates(10);
  assert.equal(told, 1);
  for (const take of nevermore) take();
});

test('what changes in time may take longer than the patience', limited, async () => {
  let step = 0;
  await untilDone('all steps are done', 10_000, async () => (++step > 3 ? null : `step ${step}`));
  await assert.rejects(
    untilDone('it is done', 10_000, async () => {
      throw new RangeError('it cannot be');
    }),
    RangeError,
  );
});

test('a process is waited for after its end, by a signal too, and killed when it does not end', limited, async () => {
  const killed = spawn('sleep', ['600']);
  killed.kill('SIGKILL');
  assert.equal(await exitWithin(killed, 30_000, 'sleep'), null);
  assert.equal(await exitWithin(killed, 30_000, 'sleep'), null);
  const endless = spawn('sleep', ['600']);
  const exited = once(endless, 'exit');
  await assert.rejects(
    exitWithin(endless, 10, 'the endless one'),
    /in 10 ms it did not come about that the endless one/,
  );
  assert.deepEqual(await exited, [null, 'SIGKILL']);
});
