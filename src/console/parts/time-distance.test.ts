import assert from 'node:assert/strict';
import { test } from 'node:test';
import { distanceText } from './time-distance.ts';

const now = Date.parse('2026-11-27T12:00:00Z');
const at = (seconds: number) => distanceText(new Date(now + seconds * 1000), now);

test('a time is so far away as people say it, before and after now', () => {
  assert.equal(at(0), 'just now');
  assert.equal(at(-3), 'just now');
  assert.equal(at(-60), '60 s ago');
  assert.equal(at(-100), '2 min ago');
  assert.equal(at(-5400), '2 h ago');
  assert.equal(at(-2 * 86_400), '2 days ago');
  assert.equal(at(48 * 60), 'in 48 min');
});
