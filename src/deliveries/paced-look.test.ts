import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPacedLook } from './paced-look.ts';

const dayMs = 86_400_000;

test('a look takes its share of the time, and a clock that is put right puts it off for a minute at most', async () => {
  let nowMs = dayMs;
  const paced = createPacedLook({ now: () => nowMs }, 10);
  const look = (tookMs: number) =>
    paced.look(async () => {
      nowMs += tookMs;
    });
  assert.equal(paced.dueInMs(), 0);
  await look(30);
  assert.equal(paced.dueInMs(), 270);
  nowMs += 270;
  assert.equal(paced.dueInMs(), 0);
  await look(30);
  nowMs -= dayMs;
  assert.equal(paced.dueInMs(), 0, 'the clock was ahead when it was looked');
  await look(dayMs);
  assert.ok(paced.dueInMs() <= 60_000, 'the clock was behind when the look began');
  await look(-dayMs);
  assert.equal(paced.dueInMs(), 0, 'it was ahead when the look began');
});
