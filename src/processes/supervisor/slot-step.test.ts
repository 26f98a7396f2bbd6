import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nextStep, type ProcessSpec, restartDelayMs } from './slot-step.ts';

const spec = (overrides: Partial<ProcessSpec> = {}): ProcessSpec => ({
  ...{ name: 'one', kind: 'server', release: '1.0.0', settings: {}, databaseUrl: 'postgres://a' },
  ...overrides,
});
const router = (release: string) => spec({ kind: 'router', release, databaseUrl: null });

test('another release stops a process first, but gives a router a successor', () => {
  const facts = { failure: null, nowMs: 0, yields: false };
  assert.equal(nextStep({ ...facts, wanted: spec({ release: '1.1.0' }), running: spec() }).type, 'stop');
  assert.equal(nextStep({ ...facts, wanted: router('1.1.0'), running: router('1.0.0') }).type, 'replace');
  assert.equal(nextStep({ ...facts, wanted: spec({ databaseUrl: 'postgres://b' }), running: spec() }).type, 'stop');
  assert.equal(nextStep({ ...facts, wanted: spec({ settings: { a: 1 } }), running: spec() }).type, 'stop');
  assert.equal(nextStep({ ...facts, wanted: spec(), running: spec() }).type, 'nothing');
});

test('a process that yields has a successor of another release, and of nothing else', () => {
  const facts = { failure: null, nowMs: 0, yields: true };
  assert.equal(nextStep({ ...facts, wanted: spec({ release: '1.0.1' }), running: spec() }).type, 'replace');
  assert.equal(nextStep({ ...facts, wanted: spec({ databaseUrl: 'postgres://b' }), running: spec() }).type, 'stop');
  assert.equal(
    nextStep({ ...facts, wanted: spec({ release: '1.0.1', settings: { a: 1 } }), running: spec() }).type,
    'stop',
  );
});

test('what was adopted is not started again before its credential is known', () => {
  const facts = { failure: null, nowMs: 0, yields: false, running: null };
  assert.equal(nextStep({ ...facts, wanted: spec({ credentialUnknown: true }) }).type, 'nothing');
  assert.equal(nextStep({ ...facts, wanted: spec() }).type, 'start');
});

test('a failure delays the same attempt and no other', () => {
  const failure = { spec: spec(), notBeforeMs: 1000 };
  assert.deepEqual(nextStep({ wanted: spec(), running: null, yields: false, failure, nowMs: 400 }), {
    type: 'wait',
    waitMs: 600,
  });
  assert.equal(nextStep({ wanted: spec(), running: null, yields: false, failure, nowMs: 1000 }).type, 'start');
  assert.equal(
    nextStep({ wanted: spec({ release: '1.1.0' }), running: null, yields: false, failure, nowMs: 400 }).type,
    'start',
  );
});

test('from every state the steps lead to what is wanted and then end', () => {
  const some = fc.constantFrom(null, spec(), spec({ release: '1.1.0' }), router('1.0.0'), router('1.1.0'));
  fc.assert(
    fc.property(some, some, fc.boolean(), (wanted, before, yields) => {
      let running = before;
      for (let steps = 0; steps < 3; steps++) {
        const step = nextStep({ wanted, running, yields, failure: null, nowMs: 0 });
        if (step.type === 'stop') {
          running = null;
        } else if (step.type === 'start' || step.type === 'replace') {
          assert.equal(running === null, step.type === 'start');
          running = step.spec;
        }
      }
      assert.equal(nextStep({ wanted, running, yields, failure: null, nowMs: 0 }).type, 'nothing');
      assert.deepEqual(running, wanted);
    }),
  );
});

test('restart delays double from 200 ms to 10 s', () => {
  assert.deepEqual([1, 2, 3, 6, 7, 1000].map(restartDelayMs), [200, 400, 800, 6400, 10_000, 10_000]);
});
