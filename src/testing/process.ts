/** For tests only: child processes that are waited for. A process that has ended already, or never ends, holds nobody up. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { inTime } from './condition.ts';

/** By itself or by a signal: of one that was killed `exitCode` stays null. */
export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/**
 * Waits until the process has ended, now or before, and has said all that it says.
 * @returns its exit code; null when a signal ended it.
 * @throws WaitedInVain that names it, when it does not end in time; it is killed then.
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
