import assert from 'node:assert/strict';
import { test } from 'node:test';
import { minutesOf } from './chart-minutes.ts';

const at = (minute: string) => ({ at: new Date(`2026-11-27T${minute}:00Z`) });

test('the hour ends with the last point, and a minute without one is a gap', () => {
  const { times, points } = minutesOf([at('11:05'), at('11:58'), at('12:00')]);
  assert.equal(times.length, 60);
  assert.deepEqual([times[0], times[59]], [at('11:01').at, at('12:00').at]);
  assert.deepEqual(
    points.flatMap((point, index) => (point === null ? [] : [index])),
    [4, 57, 59],
  );
});

test('where nothing is known yet, there is no minute either', () => {
  assert.deepEqual(minutesOf([]), { times: [], points: [] });
});
