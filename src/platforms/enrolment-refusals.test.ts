import assert from 'node:assert/strict';
import { test } from 'node:test';
import { platformRefusal } from './enrolment-refusals.ts';

test('a refused platform is named as far as it could be a name', () => {
  const longest = 'p'.repeat(32);
  assert.equal(platformRefusal(longest).message, `There is no platform "${longest}" in this release.`);
  assert.equal(platformRefusal('p'.repeat(4096)).message, `There is no platform "${longest}…" in this release.`);
});
