import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { exitWithin } from '../src/testing/process.ts';

test('a file whose process hears no timer of its own is ended from outside, and has failed', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-limit-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'stuck.test.mjs');
  await writeFile(file, 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);');
  // A runner of its own: in a test's process there is none.
  const runner = `
    import { run } from 'node:test';
    const { limitFiles } = await import(${JSON.stringify(new URL('test-file-limit.ts', import.meta.url).href)});
    const events = run({ files: [process.argv[2]] });
    limitFiles(events, [process.argv[2]], 500);
    events.on('test:fail', ({ name }) => console.log(name));
    events.resume();`;
  // In a file of its own: what Node.js was told by its options, the processes of tests are told, too.
  const program = join(folder, 'runner.mjs');
  await writeFile(program, runner);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, [program, file], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => child.kill('SIGKILL'));
  const [said] = await Promise.all([text(child.stdout), exitWithin(child, 120_000, 'the runner')]);
  assert.equal(said.trim(), file);
});
