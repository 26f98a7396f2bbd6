import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { exitWithin } from '../src/testing/process.ts';

/** State and processor time of a process, as /proc has them. */
function statOf(pid: number): { state: string | undefined; ticks: string } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
  return { state: fields[2], ticks: fields.slice(13, 15).join(' ') };
}

/** Keeps this process, as a busy runner, from reading until the other one has ended or does nothing more. */
function readNothingUntilItStands(pid: number): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  let before = statOf(pid);
  for (let alike = 0; alike < 20 && before.state !== 'Z'; ) {
    Atomics.wait(pause, 0, 0, 25);
    const now = statOf(pid);
    alike = now.ticks === before.ticks ? alike + 1 : 0;
    before = now;
  }
}

test('a file reports all of its tests, however late its output is read', { timeout: 60_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-output-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'many.test.mjs');
  await writeFile(
    file,
    "import { test } from 'node:test';\nfor (let i = 0; i < 60; i += 1) test('number ' + i, () => {});\n",
  );
  const child = spawn(
    process.execPath,
    ['--test-force-exit', '--import', join(import.meta.dirname, 'test-output.ts'), file],
    { env: { ...process.env, NODE_TEST_CONTEXT: 'child-v8' }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const reported = text(child.stdout);
  readNothingUntilItStands(child.pid ?? assert.fail('not started'));
  const [said] = await Promise.all([reported, exitWithin(child, 30_000, 'the file')]);
  assert.equal(said.match(/test:pass/g)?.length, 60);
  assert.match(said, /test:summary/);
});
