import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchSigns } from './process-signs.ts';

const signsOf = (...messages: object[]) => {
  const signs = watchSigns(30_000, new Promise(() => undefined));
  for (const message of messages) signs.take(message);
  signs.release();
  return [signs.yields(), signs.isServing()];
};

test('a process serves once it is ready, and one that yields once devices reach it, whenever it says so', () => {
  assert.deepEqual(signsOf(), [false, false]);
  assert.deepEqual(signsOf({ type: 'ready' }), [false, true]);
  assert.deepEqual(signsOf({ type: 'ready', yields: true }), [true, false]);
  assert.deepEqual(signsOf({ type: 'ready', yields: true }, { type: 'serving' }), [true, true]);
});
