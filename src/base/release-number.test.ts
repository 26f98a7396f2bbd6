import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareReleases, isOneStep, parseRelease } from './release-number.ts';

const part = fc.integer({ min: 0, max: 999_999 });
const small = fc.integer({ min: 0, max: 3 });
const release = fc
  .oneof(fc.tuple(part, part, part), fc.tuple(small, small, small))
  .map(([major, minor, patch]) => ({ text: `${major}.${minor}.${patch}`, major, minor, patch }));

test('a release number is read into the three numbers that it was written from', () => {
  fc.assert(
    fc.property(release, ({ text, major, minor, patch }) => {
      assert.deepEqual(parseRelease(text), { major, minor, patch });
    }),
  );
});

test('only major.minor.patch in plain decimals is a release number', () => {
  const form = /^(0|[1-9]\d{0,5})(\.(0|[1-9]\d{0,5})){2}$/;
  const nearMiss = fc.stringMatching(/^[v ]?[0-9]{0,8}(\.[0-9]{0,8}){0,3}[-+\n]?$/);
  fc.assert(
    fc.property(fc.oneof(nearMiss, fc.string()), (text) => {
      if (form.test(text) && !text.includes('\n')) parseRelease(text);
      else assert.throws(() => parseRelease(text), { code: 'ERR_RELEASE_NUMBER' });
    }),
  );
  for (const text of ['', '1', '1.0', '01.0.0', '1.0.0.0', 'v1.0.0', '1.0.0-rc', '1.0.1000000', '1.0.0\n', '١.0.0']) {
    assert.throws(() => parseRelease(text), { code: 'ERR_RELEASE_NUMBER' }, text);
  }
});

test('releases are ordered by number, not by text, and totally', () => {
  assert.ok(compareReleases('1.10.0', '1.9.9') > 0);
  fc.assert(
    fc.property(release, release, release, (a, b, c) => {
      const [ab, bc, ac] = [
        compareReleases(a.text, b.text),
        compareReleases(b.text, c.text),
        compareReleases(a.text, c.text),
      ];
      assert.equal(ab === 0, a.text === b.text);
      assert.equal(Math.sign(compareReleases(b.text, a.text)), 0 - Math.sign(ab));
      if (ab <= 0 && bc <= 0) assert.ok(ac <= 0);
    }),
  );
});

test('one step is the next minor release of the same major one, whatever the patches', () => {
  fc.assert(
    fc.property(release, release, (a, b) => {
      assert.equal(isOneStep(a.text, b.text), a.major === b.major && b.minor - a.minor === 1);
    }),
  );
  fc.assert(
    fc.property(release, part, ({ text, major, minor }, patch) => {
      assert.ok(isOneStep(text, `${major}.${Math.min(minor + 1, 999_999)}.${patch}`) || minor === 999_999);
      assert.ok(!isOneStep(text, text));
    }),
  );
});
