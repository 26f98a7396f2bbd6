import assert from 'node:assert/strict';
import { test } from 'node:test';
import { distanceText, listed, many } from './words.ts';

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

test('numbers have their thousands apart, and names stand in a list as people write one', () => {
  assert.equal(many(1, 'device'), '1 device');
  assert.equal(many(150_000, 'delivery'), '150,000 deliveries');
  assert.equal(listed([]), '');
  assert.equal(listed(['a']), 'a');
  assert.equal(listed(['a', 'b', 'c']), 'a, b and c');
});
