import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linePath, ticksOf } from './chart-scale.ts';

test('the ticks of a chart are round, begin at 0 and reach the highest value', () => {
  assert.deepEqual(ticksOf(0), [0, 1]);
  assert.deepEqual(ticksOf(3), [0, 1, 2, 3]);
  assert.deepEqual(ticksOf(60), [0, 20, 40, 60]);
  assert.deepEqual(ticksOf(61), [0, 20, 40, 60, 80]);
  assert.deepEqual(ticksOf(1900), [0, 500, 1000, 1500, 2000]);
});

test('a line has a gap where there is no value, and a lone value is a dot', () => {
  const at = (index: number, value: number) => [index, value] as const;
  assert.equal(linePath([1, 2, null, 3], at), 'M0.0 1.0L1.0 2.0M3.0 3.0h0.1');
  assert.equal(linePath([null, null], at), '');
});
