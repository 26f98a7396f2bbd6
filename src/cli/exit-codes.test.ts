/** Exit statuses of `bramble` for what a service refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../base/error-codes.ts';
import { BrambleError } from '../base/errors.ts';
import { exitCode, exitCodeOf } from './exit-codes.ts';

test('what the state of the domain forbids is told from a failure', () => {
  const refused: readonly [ErrorCode, number][] = [
    ['ERR_CONFLICT', 409],
    ['ERR_STALE', 412],
    ['ERR_IDEMPOTENCY_KEY', 422],
  ];
  for (const [code, status] of refused) {
    assert.equal(exitCodeOf(new BrambleError(code, 'refused'), status), exitCode.refused, code);
  }
  assert.equal(exitCodeOf(new BrambleError('ERR_INTERNAL', 'failed'), 500), exitCode.failed);
});
