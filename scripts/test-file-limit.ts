/**
 * Ends a test file that is not done in time. A test that hangs is ended by its own time-out; this ends a file that hangs
 * outside its tests, or in a loop that lets no timer of its own process come: so it is done from the process of the runner.
 */
import { execFile } from 'node:child_process';
import type { run } from 'node:test';
import { promisify } from 'node:util';

/** For what the file's process does at its exit: it ends the processes that it started. */
const graceMs = 20_000;

/** @param files as they were given to `run()` */
export function limitFiles(events: ReturnType<typeof run>, files: readonly string[], limitMs: number): void {
  const wanted = new Set(files);
  const timers = new Map<string, NodeJS.Timeout>();
  const endAfter = (file: string, afterMs: number, signal: NodeJS.Signals) =>
    timers.set(
      file,
      setTimeout(() => {
        if (signal === 'SIGTERM') {
          console.error(`${file} is not done after ${limitMs} ms and is ended.`);
          endAfter(file, graceMs, 'SIGKILL');
        }
        void signalChild(file, signal);
      }, afterMs),
    );
  events.on('test:dequeue', ({ name }) => {
    if (wanted.has(name)) endAfter(name, limitMs, 'SIGTERM');
  });
  events.on('test:complete', ({ name }) => {
    if (wanted.has(name)) clearTimeout(timers.get(name));
  });
}

/** To the child whose last argument is the file. */
async function signalChild(file: string, signal: NodeJS.Signals): Promise<void> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,args=', '-ww'], { maxBuffer: 2 ** 26 });
  for (const line of stdout.split('\n')) {
    const [, pid, parent] = /^\s*(\d+)\s+(\d+)\s/.exec(line) ?? [];
    if (Number(parent) !== process.pid || !line.endsWith(` ${file}`)) continue;
    try {
      process.kill(Number(pid), signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
