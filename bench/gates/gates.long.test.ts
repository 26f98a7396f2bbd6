import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { benchGates, describeGoals } from './gates.ts';

test('false alarms, misses and the time to a decision lie within the goals, also in small samples', () => {
  const seed = randomUUID();
  const result = benchGates({ seed, waves: 25, sizes: [10, 50, 200] });
  assert.deepEqual(result.missed, [], describeGoals(result));
  const share = (kind: string, requests: number, part: 'failed' | 'passed' | 'undecided') =>
    result.figures.find((figure) => figure.kind.startsWith(kind) && figure.requests === requests)?.[part] ?? -1;
  assert.equal(share('good: as before', 10, 'undecided'), 1, describeGoals(result));
  assert.ok(share('good: as before', 200, 'passed') > 0.8, describeGoals(result));
  assert.ok(share('bad: 20 % errors', 200, 'failed') > 0.9, describeGoals(result));
  assert.ok(share('bad: twice the latency', 200, 'failed') > 0.5, describeGoals(result));
});
