import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isBrambleError } from '../../base/errors.ts';
import { isOneStep, upgradePath } from '../../base/release-number.ts';
import { assertPatch, releaseStep } from './release-step.ts';

const refused = (from: string, to: string, message: RegExp) =>
  assert.throws(
    () => releaseStep(from, to),
    (error) => isBrambleError(error, 'ERR_RELEASE_STEP') && message.test(error.message),
  );

test('the next minor release is a step, whatever its patch release', () => {
  assert.equal(releaseStep('1.0.0', '1.1.0'), 'minor');
  assert.equal(releaseStep('1.0.7', '1.1.3'), 'minor');
});

test('a later patch of the same minor release is a step, also one that skips numbers; an earlier one is none', () => {
  assert.equal(releaseStep('1.2.0', '1.2.1'), 'patch');
  assert.equal(releaseStep('1.2.0', '1.2.7'), 'patch');
  refused('1.2.1', '1.2.0', /earlier/);
});

test('a number does not make a patch: what it changes is named', () => {
  assertPatch('1.2.0', '1.2.1', []);
  assert.throws(
    () => assertPatch('1.2.0', '1.2.1', ['the migration 017-more.expand.sql is added']),
    (error) => isBrambleError(error, 'ERR_RELEASE_NOT_PATCH') && /017-more/.test(error.message),
  );
});

test('a step that skips a minor release is refused with the path to take', () => {
  refused('1.0.0', '1.3.2', /1\.0\.0 → 1\.1\.0 → 1\.2\.0 → 1\.3\.2/);
});

test('the same release, an earlier one and another major release are refused', () => {
  refused('1.1.0', '1.1.0', /already runs release 1\.1\.0/);
  refused('1.1.0', '1.0.0', /earlier/);
  refused('1.9.0', '2.0.0', /no phased upgrade/);
});

test('for an earlier release a later one is advised: the domain may be newer than that release, without any upgrade', () => {
  refused(
    '1.3.0',
    '1.2.1',
    /Choose an archive of a release after 1\.3\.0\. If an upgrade from 1\.2\.1 is still open, /,
  );
});

test('every step of a path is one step', () => {
  const release = fc.tuple(fc.nat(3), fc.nat(6), fc.nat(3)).map((parts) => parts.join('.'));
  fc.assert(
    fc.property(release, release, (from, to) => {
      const path = upgradePath(from, to);
      if (path === undefined) return;
      assert.equal(path[0], from);
      assert.equal(path.at(-1), to);
      path.slice(1).forEach((next, index) => {
        assert.ok(isOneStep(path[index] ?? '', next));
      });
    }),
  );
});
