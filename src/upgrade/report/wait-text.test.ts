/** What an operator reads of a wait. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timeText } from '../../base/time-text.ts';
import { waitLines } from './wait-text.ts';

const wait = { why: 'why', who: [], since: null, until: '2026-11-27T03:51:41.000Z', command: null };

test('a soak ends at the time at the earliest, everything else at the latest', () => {
  const until = timeText(wait.until);
  assert.equal(waitLines([{ ...wait, what: 'soak' }])[0], `  soak: why (at least until ${until})`);
  assert.equal(waitLines([{ ...wait, what: 'wave' }])[0], `  wave: why (until ${until} at the latest)`);
});
