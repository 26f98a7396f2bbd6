import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { until } from '../testing/condition.ts';
import { type BodyClock, defaultBodyPatience, patientChunks } from './body-deadline.ts';

const limited = { timeout: 60_000 };
const patience = defaultBodyPatience;
const late = { code: 'ERR_BODY_TIMEOUT' };

/** Time passes when the test says so. */
function manualClock(): BodyClock & { pass(durationMs: number): void; longestMs: number } {
  let nowMs = 0;
  const sleeps = new Set<{ endMs: number; wake: () => void }>();
  return {
    longestMs: 0,
    nowMs: () => nowMs,
    sleep(durationMs, signal) {
      this.longestMs = Math.max(this.longestMs, durationMs);
      return new Promise((wake, reject) => {
        const sleep = { endMs: nowMs + durationMs, wake };
        sleeps.add(sleep);
        signal.addEventListener('abort', () => {
          sleeps.delete(sleep);
          reject(signal.reason as Error);
        });
      });
    },
    pass(durationMs) {
      nowMs += durationMs;
      for (const { endMs, wake } of sleeps) if (endMs <= nowMs) wake();
    },
  };
}

/** A body that arrives as the test directs, and how many bytes of it were read. */
function reading() {
  const stream = new Readable({ read() {} });
  const clock = manualClock();
  const state = { bytes: 0 };
  const done = (async () => {
    for await (const chunk of patientChunks(stream, patience, clock)) state.bytes += chunk.byteLength;
  })();
  // Awaited by the tests, later.
  done.catch(() => undefined);
  const send = async (sizeBytes: number) => {
    const all = state.bytes + sizeBytes;
    stream.push(Buffer.alloc(sizeBytes));
    await until('it is read', 30_000, () => state.bytes === all);
  };
  return { stream, clock, state, done, send };
}

test(
  'a body that comes passes as it is, and its stream is not destroyed when it is no longer wanted',
  limited,
  async () => {
    const parts = ['one', 'two', '', 'three'].map((text) => Buffer.from(text));
    const read = await Readable.from(patientChunks(Readable.from(parts), patience)).toArray();
    assert.equal(Buffer.concat(read).toString(), 'onetwothree');
    const open = new Readable({ read() {} });
    open.push('first');
    for await (const chunk of patientChunks(open, patience)) {
      assert.equal(Buffer.from(chunk).toString(), 'first');
      break;
    }
    assert.equal(open.destroyed, false);
    open.destroy();
  },
);

for (const sizeBytes of [1, 1024 * 1024, 100 * 1024 * 1024]) {
  test(`after ${sizeBytes} bytes silence is waited for as long as after none`, limited, async () => {
    const { clock, done, send } = reading();
    await send(sizeBytes);
    assert.equal(clock.longestMs, patience.graceMs);
    clock.pass(patience.graceMs);
    await assert.rejects(done, late);
  });

  test(`after ${sizeBytes} bytes a byte now and then is not waited for without end`, limited, async () => {
    const { clock, done, send } = reading();
    await send(sizeBytes);
    clock.pass(patience.graceMs - 1);
    await send(1);
    clock.pass(patience.graceMs - 1);
    await assert.rejects(done, late);
  });
}

test('a body that keeps coming has all the time it takes', limited, async () => {
  const { stream, clock, state, done, send } = reading();
  for (let second = 0; second < 300; second += 20) {
    await send(20 * patience.bytesPerSecond);
    clock.pass(20_000);
  }
  stream.push(null);
  await done;
  assert.equal(state.bytes, 300 * patience.bytesPerSecond);
});

test('the error of a stream comes through', limited, async () => {
  const { stream, done } = reading();
  stream.destroy(new Error('gone'));
  await assert.rejects(done, /gone/);
});
