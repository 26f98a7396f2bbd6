import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { shapeDigest } from './release-build.ts';
import { storedShapes } from './stored-shapes.ts';

const archive = path.join(import.meta.dirname, '..', 'releases', 'bramble-1.4.0.tgz');

/** Shapes that differ from 1.4.0's on purpose, with why 1.4.0 can read what is written. */
const intended: Readonly<Record<string, string>> = {
  'openid_provider.rules': 'new: 1.4 knows no OpenID',
  'file profiles.json': 'new: the command line of 1.4 has no profiles',
  'file config.json': '`console` is new, and 1.4.0 omits what it does not know; it has no console',
  'environment of processes': 'BRAMBLE_SOCKETS is new, and 1.4.0 ignores it; it asks for no socket',
  'setting second-factor': 'new: 1.4 has no administrators who sign in, and reads settings by their keys',
  'supervisor socket want': 'new: a process of 1.5 asks, and 1.4.0 ignores lines and messages that it does not know',
  'supervisor socket adopted': 'new with `sockets`: a process of 1.4.0 takes the type alone, and asks for no socket',
  'supervisor socket offered': 'new: said only to a process that has asked',
  'upgrade.progress':
    'absentUntil, absences: 1.4.0 keeps keys that it does not know, and lets clocks run that this release holds',
};

test('1.4.0 reads what this release stores and sends: every shape is the same, but for those that are named', () => {
  const manifest = execFileSync('tar', ['-xOzf', archive, 'manifest.json'], { encoding: 'utf8', timeout: 30_000 });
  const { shapes: sealed } = JSON.parse(manifest) as { shapes: Record<string, string> };
  assert.ok(Object.keys(sealed).length > 40);
  const names = new Set([...Object.keys(sealed), ...Object.keys(storedShapes)]);
  const different = [...names].filter((name) => {
    const shape = storedShapes[name];
    return shape === undefined || shapeDigest(shape) !== sealed[name];
  });
  assert.deepEqual(different.sort(), Object.keys(intended).sort());
});
