import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { shapeDigest } from './release-build.ts';
import { storedShapes } from './stored-shapes.ts';

const archive = path.join(import.meta.dirname, '..', 'releases', 'bramble-1.2.1.tgz');

test('a coordinator of 1.2.1 reads the progress of an upgrade that this release wrote: its shape is the same', () => {
  const manifest = execFileSync('tar', ['-xOzf', archive, 'manifest.json'], { encoding: 'utf8', timeout: 30_000 });
  const { shapes } = JSON.parse(manifest) as { shapes: Record<string, string> };
  const progress = storedShapes['upgrade.progress'];
  assert.ok(progress);
  assert.equal(shapeDigest(progress), shapes['upgrade.progress']);
});
