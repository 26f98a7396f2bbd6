/** Times within a text have the form of all others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timesInText, timeText } from './time-text.ts';

test('the times in a text read as those in tables', () => {
  const [first, second] = ['2026-11-27T03:50:26.123Z', '2026-11-27T04:00Z'];
  const text = `woken at ${first}, since ${second}`;
  assert.equal(timesInText(text), `woken at ${timeText(first)}, since ${timeText(second)}`);
  assert.match(timesInText(text), /^woken at 2026-11-2\d \d\d:\d\d:26(Z|[+-]\d\d:\d\d), since /);
  assert.equal(timesInText('2026-11-27 and x2026-11-27T03:50:26Z'), '2026-11-27 and x2026-11-27T03:50:26Z');
});
