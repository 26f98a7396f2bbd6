import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { exitWithin } from '../testing/process.ts';
import { runShort } from '../testing/shortage.ts';
import { birthOf } from './process-facts.ts';

const facts = JSON.stringify(new URL('./process-facts.ts', import.meta.url).href);

test('a process does not count as gone while the system is short of descriptors', async (t) => {
  const sleeper = spawn('sleep', ['300']);
  t.after(() => sleeper.kill('SIGKILL'));
  await once(sleeper, 'spawn');
  const pid = sleeper.pid ?? 0;
  const birth = await birthOf(pid);
  const said = await runShort(
    t,
    `const { birthOf, childrenOf, runs, signalProcess } = await import(${facts});
    const release = useUp();
    const answers = Promise.all([birthOf(${pid}), runs(${pid}, 'sleep'), childrenOf(process.ppid)]);
    setTimeout(release, 300);
    const [birth, started, children] = await answers;
    const child = children.some(({ pid, command }) => pid === ${pid} && command === 'sleep 300');
    const releaseAgain = useUp();
    const signalled = signalProcess(${pid}, birth, 'SIGTERM');
    setTimeout(releaseAgain, 300);
    await signalled;
    console.log(JSON.stringify([birth, started, child]));`,
  );
  assert.deepEqual(JSON.parse(said), [birth, true, true]);
  await exitWithin(sleeper, 30_000, 'the process that was signalled');
  assert.equal(sleeper.signalCode, 'SIGTERM');
  assert.equal(await birthOf(pid), null);
});
