import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const checkout = join(import.meta.dirname, '..');
const scripts = [
  'scripts/release.ts',
  'scripts/release-key.ts',
  'scripts/mutate.ts',
  'scripts/walkthrough.ts',
  'scripts/trial-postgres.ts',
  'bench/bench.ts',
];

test('every script tells how it is used, and names an option that it does not know', { timeout: 120_000 }, () => {
  for (const script of scripts) {
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [join(checkout, script), ...args], { encoding: 'utf8' });
    const helped = run('--help');
    assert.deepEqual([helped.status, helped.stderr], [0, ''], script);
    assert.match(helped.stdout, /^npm run /);
    const wrong = run('--unheard-of');
    assert.equal(wrong.status, 2, script);
    assert.match(wrong.stderr, /^error: Unknown option '--unheard-of'.*\n\nnpm run /s);
    assert.doesNotMatch(wrong.stderr, /\n {4}at /);
  }
});
