/** Whether a supervisor that its service confines could use the folders of a schedule: here a process with mounts of its own. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { birthOf } from '../base/process-facts.ts';
import { assertSupervisorMay } from './supervisor-view.ts';

const skip = spawnSync('unshare', ['--mount', 'true']).status !== 0 && 'no process can be given mounts of its own here';

/** @param confine shell commands that change the process's mounts, in the folder of the test */
async function supervised(t: TestContext, confine: string) {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'bramble-view-')));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const name of ['home', 'free', 'a b', 'secret']) await mkdir(join(folder, name));
  const file = join(folder, 'secret', 'passphrase');
  await writeFile(file, 'x');
  const child = spawn('unshare', ['--mount', 'sh', '-ec', `${confine}\necho ready\nexec cat`], { cwd: folder });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const holder = { pid: child.pid, birth: await birthOf(child.pid ?? 0), release: '1.4.0' };
  await writeFile(join(folder, 'home', 'supervisor.lock.1'), JSON.stringify(holder));
  const may = async (to: string, scratch: string | null = null) =>
    await assertSupervisorMay(join(folder, 'home'), {
      ...{ folder: join(folder, to), scratch: scratch && join(folder, scratch), file },
    });
  return { folder, may };
}

const readOnly = 'mount --bind "a b" "a b"; mount -o remount,ro,bind "a b"';

test('what it may not write to is refused, with the command that allows it', { skip }, async (t) => {
  const { folder, may } = await supervised(t, readOnly);
  await may('free');
  const refusal = { code: 'ERR_INPUT', message: /service install --writable .*a b.*Nothing was set/s };
  await assert.rejects(may('a b'), refusal);
  await assert.rejects(may('free', 'a b'), refusal);
  await rm(join(folder, 'home', 'supervisor.lock.1'));
  await may('a b');
});

test('what it does not see is refused: a passphrase, or a folder with a temporary one over it', { skip }, async (t) => {
  const hidden = await supervised(t, 'mount -t tmpfs none secret');
  await assert.rejects(hidden.may('free'), { code: 'ERR_INPUT', message: /hides .*passphrase/ });
  const covered = await supervised(t, 'mount -t tmpfs none free');
  await assert.rejects(covered.may('free'), { code: 'ERR_INPUT', message: /--writable/ });
  // A copy is made in whichever folder is there.
  await covered.may('a b', 'free');
});
