/** What a command that was interrupted says and removes, in a process of its own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

/** It removes something once its input ends. */
const program = `
  import { once } from 'node:events';
  import { untilSignalled } from ${JSON.stringify(new URL('signalled.ts', import.meta.url).href)};
  process.stdin.resume();
  const work = async (signal) => {
    console.log('begun');
    await once(signal, 'abort');
    await once(process.stdin, 'end');
    console.log('removed');
    signal.throwIfAborted();
  };
  await untilSignalled(work, (name) => console.log(name)).catch(({ code }) => console.log(code));
`;

function interruptible() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const said: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => said.push(...text.trim().split('\n')));
  const until = async (line: string) => {
    while (!said.includes(line)) await once(child.stdout, 'data');
  };
  return { child, said, until };
}

test('it says at once that it was told to end, and a terminal that closes then stops no removal', async () => {
  const { child, said, until } = interruptible();
  await until('begun');
  child.kill('SIGINT');
  await until('SIGINT');
  child.kill('SIGHUP');
  child.stdin.end();
  await once(child, 'close');
  assert.deepEqual(said, ['begun', 'SIGINT', 'removed', 'ERR_INTERRUPTED']);
});

test('a second SIGINT does not wait', async () => {
  const { child, until } = interruptible();
  await until('begun');
  child.kill('SIGINT');
  await until('SIGINT');
  child.kill('SIGINT');
  const [code, signal] = await once(child, 'close');
  assert.deepEqual([code, signal], [null, 'SIGINT']);
});
