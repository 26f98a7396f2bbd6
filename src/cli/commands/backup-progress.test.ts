/** What a terminal shows of a command on a backup. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { showsSteps } from './backup-progress.ts';

test('what is told in bytes is shown in MiB, and what is counted as it is', () => {
  const shown: unknown[] = [];
  const progress = { show: (...line: unknown[]) => void shown.push(line), end: () => {} };
  const show = showsSteps(progress, { restoring: 'restoring rows' });
  show('reading', 3 * 1024 * 1024, 6 * 1024 * 1024);
  show('restoring', 20, 1_000_000);
  assert.deepEqual(shown, [
    ['reading, in MiB', 3, 6],
    ['restoring rows', 20, 1_000_000],
  ]);
});
