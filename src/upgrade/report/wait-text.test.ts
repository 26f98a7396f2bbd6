/** What an operator reads of a wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitLines } from './wait-text.ts';

const wait = { why: 'why', who: [], since: null, until: '2026-11-27T03:51:41.000Z', command: null };

test('a soak ends at the time at the earliest, everything else at the latest', () => {
  assert.match(waitLines([{ ...wait, what: 'soak' }])[0] ?? '', /\(at least until 2026-11-27 03:51:41[^)]*\)$/);
  assert.match(waitLines([{ ...wait, what: 'wave' }])[0] ?? '', /\(until 2026-11-27 03:51:41.* at the latest\)$/);
});
