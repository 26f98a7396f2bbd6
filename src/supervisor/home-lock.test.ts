import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
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
