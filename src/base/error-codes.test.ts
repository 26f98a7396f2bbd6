import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, isReceivedCode } from './error-codes.ts';
import { BrambleError, isBrambleError } from './errors.ts';

test('a code that is not on the list does not compile', () => {
  // @ts-expect-error: the type check of `npm run check` fails once this compiles.
  const error = new BrambleError('ERR_NOT_ON_THE_LIST', 'never raised');
  // @ts-expect-error
  assert.ok(isBrambleError(error, 'ERR_NOT_ON_THE_LIST'));
  const listed: ErrorCode = 'ERR_INPUT';
  assert.ok(!isBrambleError(error, listed));
});

test('a code of another release is passed on, and other texts are not taken for codes', () => {
  assert.ok(isReceivedCode('ERR_OF_A_LATER_RELEASE'));
  for (const other of ['ERR_', 'err_input', 'ERR_INPUT\n', 'ECONNRESET', 7, null]) assert.ok(!isReceivedCode(other));
});
