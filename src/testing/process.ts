/** For tests only: waiting for child processes. One that has already ended, or never ends, does not block the test. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { inTime } from './condition.ts';

/** By itself or by a signal: `exitCode` stays null for a process that was killed. */
export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/**
 * Waits until the process has ended, or already had, and its output is complete.
 * @returns its exit code; null when a signal ended it.
 * @throws WaitedInVain that names it, when it does not end in time; it is then killed.
 */
export async function exitWithin(child: ChildProcess, timeoutMs: number, what: string): Promise<number | null> {
  try {
    await inTime(`${what} has ended`, timeoutMs, ended(child));
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return child.exitCode;
}

async function ended(child: ChildProcess): Promise<void> {
  if (!hasEnded(child)) await once(child, 'exit');
  await Promise.all([closed(child.stdout), closed(child.stderr)]);
}

async function closed(stream: Readable | null): Promise<void> {
  if (stream !== null && !stream.closed) await once(stream, 'close');
}
