import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { birthOf } from '../../base/process-facts.ts';
import { adoptableFolder } from '../../process/adoption-messages.ts';
import { inTime } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';
import { lockHome } from './home-lock.ts';

test('a home is locked by one at a time, also when many take over from a holder that is gone', async (t) => {
  const home = await mkdtemp(path.join(os.tmpdir(), 'bramble-lock-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  for (let round = 0; round < 5; round++) {
    const attempts = await Promise.allSettled(Array.from({ length: 8 }, async () => await lockHome(home, '1.2.0')));
    const [winner, ...others] = attempts.filter((attempt) => attempt.status === 'fulfilled');
    assert.ok(winner);
    assert.deepEqual(others, []);
    for (const attempt of attempts.filter((one) => one.status === 'rejected')) {
      assert.equal((attempt.reason as { code: string }).code, 'ERR_ALREADY_RUNNING');
    }
    assert.equal((await readdir(home)).length, 1);
    await winner.value.release();
    // What a killed holder leaves: a number above, with a process id that now is another process.
    const [file] = await readdir(home);
    const number = Number(file?.split('.').at(-1)) + 1;
    await writeFile(
      path.join(home, `supervisor.lock.${number}`),
      JSON.stringify({ pid: process.pid, birth: 'earlier' }),
    );
  }
});

/** A program that locks the home, and may write no octet into any file until the limit is lifted. */
function lockWithoutRoom(t: TestContext, home: string) {
  const module = JSON.stringify(new URL('./take-over.ts', import.meta.url).href);
  const say = '(value) => console.log(JSON.stringify(value))';
  const code = `const { claimHome } = await import(${module});
    const options = { release: '1.2.0', takeOver: false, signal: new AbortController().signal, onEvent: ${say} };
    await claimHome(${JSON.stringify(home)}, options).then(() => console.log('"locked"'), ({ code }) => console.log(JSON.stringify(code)));`;
  const run = ['-c', 'ulimit -S -f 0 && exec "$0" "$@"', process.execPath, '--input-type=module', '-e', code];
  const child = spawn('sh', run, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> =>
    JSON.parse((await inTime('it says more', 60_000, lines.next())).value ?? 'null');
  return { child, next };
}

test('without room on the disk the lock says so and leaves nothing behind; it waits while processes do', async (t) => {
  const home = await mkdtemp(path.join(os.tmpdir(), 'bramble-lock-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  const alone = lockWithoutRoom(t, home);
  assert.equal(await alone.next(), 'ERR_HOME_DISK');
  await exitWithin(alone.child, 30_000, 'the supervisor without room');
  assert.deepEqual(await readdir(home), []);

  const orphan = spawn('sleep', ['300']);
  t.after(() => orphan.kill('SIGKILL'));
  await once(orphan, 'spawn');
  const pid = orphan.pid ?? 0;
  await mkdir(adoptableFolder(home), { recursive: true });
  const facts = { pid, birth: await birthOf(pid), name: 'one' };
  await writeFile(path.join(adoptableFolder(home), `${pid}.json`), JSON.stringify(facts));
  // As a killed rival leaves it.
  await writeFile(path.join(home, '.supervisor-lock-left'), '');
  const patient = lockWithoutRoom(t, home);
  assert.equal(((await patient.next()) as { type: string }).type, 'waiting-for-disk');
  execFileSync('prlimit', ['--pid', String(patient.child.pid), '--fsize=unlimited']);
  assert.equal(await patient.next(), 'locked');
  await exitWithin(patient.child, 30_000, 'the supervisor that has locked the home');
  assert.deepEqual((await readdir(home)).sort(), ['run', 'supervisor.lock.1']);
});
