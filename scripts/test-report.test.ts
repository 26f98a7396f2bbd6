import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { exitWithin } from '../src/testing/process.ts';

test('a file whose process ends before its tests has failed, though it ends without an error', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-report-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'early.test.mjs');
  await writeFile(
    file,
    "import { test } from 'node:test';\ntest('the first', () => {});\ntest('the second', () => process.exit(0));\n",
  );
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const run = spawn(process.execPath, [join(import.meta.dirname, 'test.ts'), file], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said, code] = await Promise.all([text(run.stdout), exitWithin(run, 60_000, 'the run')]);
  assert.match(said, /failing tests:.*early\.test\.mjs.*ended before its tests had/s);
  assert.equal(code, 1);
});
