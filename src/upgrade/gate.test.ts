import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { judgeGate } from './gate.ts';
import { gateSettingsSchema } from './plan-options.ts';

const settings = gateSettingsSchema.parse({ leastRequests: 30 });
const sample = (requests: number, errors = 0, meanMs = 5) => ({ requests, errors, latencyMsSum: requests * meanMs });
const figures = (change: object = {}) => ({
  moved: sample(100),
  before: sample(1000),
  unmoved: sample(500),
  deliveries: { done: 10, failed: 0, open: 0 },
  ...change,
});

test('as good as before passes', () => {
  assert.equal(judgeGate(figures(), settings).answer, 'pass');
  assert.equal(judgeGate(figures({ unmoved: null }), settings).answer, 'pass');
});

test('a new instance that answers 500 fails, also before the sample is complete', () => {
  assert.equal(judgeGate(figures({ moved: sample(100, 100) }), settings).answer, 'fail');
  assert.equal(judgeGate(figures({ moved: sample(5, 5) }), settings).answer, 'fail');
});

test('too small a sample, an empty one and unreadable figures are undecided, never passed', () => {
  assert.equal(judgeGate(figures({ moved: sample(29) }), settings).answer, 'undecided');
  assert.equal(judgeGate(figures({ moved: sample(0) }), settings).answer, 'undecided');
  for (const unreadable of [
    undefined,
    null,
    {},
    'x',
    figures({ moved: sample(Number.NaN) }),
    figures({ before: {} }),
  ]) {
    const answer = judgeGate(unreadable, settings);
    assert.equal(answer.answer === 'undecided' && answer.cause, 'unreadable');
  }
});

test('errors that everybody has are not put down to the new release', () => {
  assert.equal(judgeGate(figures({ moved: sample(100, 20), unmoved: sample(500, 100) }), settings).answer, 'pass');
  assert.equal(judgeGate(figures({ moved: sample(100, 20), before: sample(500, 100) }), settings).answer, 'pass');
});

test('slower by the factor and by more than the slack fails; a few milliseconds do not', () => {
  assert.equal(judgeGate(figures({ moved: sample(100, 0, 200) }), settings).answer, 'fail');
  assert.equal(judgeGate(figures({ moved: sample(100, 0, 40) }), settings).answer, 'pass');
});

test('failed deliveries above the bound fail, whatever the requests say', () => {
  assert.equal(judgeGate(figures({ deliveries: { done: 5, failed: 5, open: 0 } }), settings).answer, 'fail');
  assert.equal(judgeGate(figures({ deliveries: { done: 0, failed: 0, open: 9 } }), settings).answer, 'pass');
});

test('more errors never turn fail or undecided into pass', () => {
  fc.assert(
    fc.property(fc.nat(200), fc.nat(200), fc.nat(200), (requests, a, b) => {
      const [fewer, more] = [Math.min(a, b, requests), Math.min(Math.max(a, b), requests)];
      const better = judgeGate(figures({ moved: sample(requests, fewer) }), settings).answer;
      const worse = judgeGate(figures({ moved: sample(requests, more) }), settings).answer;
      if (better !== 'pass') assert.notEqual(worse, 'pass');
    }),
  );
});

test('no figures whatsoever make a gate throw, and a pass always has its sample', () => {
  fc.assert(
    fc.property(fc.anything(), (anything) => {
      const answer = judgeGate(anything, settings);
      if (answer.answer === 'pass') assert.ok(answer.figures.moved.requests >= settings.leastRequests);
    }),
  );
});
