/** For tests only: programs that run in a process of their own and can use up its file descriptors. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { exitWithin } from './process.ts';

const prelude = `
import { closeSync, openSync } from 'node:fs';
/** Takes every descriptor that is left; returns a function that releases them. */
function useUp() {
  const taken = [];
  try {
    for (;;) taken.push(openSync('/dev/null'));
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
  return () => taken.forEach((descriptor) => closeSync(descriptor));
}
`;

/** Runs the module, which can call `useUp`, and returns its output. Its parent is the test's process. */
export async function runShort(t: TestContext, module: string): Promise<string> {
  const run = [
    '-c',
    'ulimit -n 100 && exec "$0" "$@"',
    process.execPath,
    '--input-type=module',
    '-e',
    prelude + module,
  ];
  const child = spawn('sh', run, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const [said, code] = await Promise.all([
    text(child.stdout),
    exitWithin(child, 90_000, 'the program without descriptors'),
  ]);
  if (code !== 0) throw new Error(`The program ended with ${code}. It said: ${said}`);
  return said;
}
