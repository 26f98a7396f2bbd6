/**
 * The log file of a component. The process writes to it directly, so that its last lines survive the supervisor;
 * rotation therefore copies the file and empties it. A line written between the two steps (microseconds) can be lost.
 */
import { closeSync, copyFileSync, openSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';

export interface LogLimits {
  /** A file that reached this size is rotated. */
  maxBytes: number;
  /** Number of rotated files kept beside the current one. */
  keep: number;
}

export const defaultLogLimits: LogLimits = { maxBytes: 10 * 1024 * 1024, keep: 3 };

/** Opens the component's log for appending; the caller closes the descriptor once it has been handed on. */
export async function openLog(home: string, component: string): Promise<{ fd: number; close: () => void }> {
  const file = logFile(home, component);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const fd = openSync(file, 'a', 0o600);
  return { fd, close: () => closeSync(fd) };
}

/** Rotates the log if it has grown enough: `name.log` to `name.log.1`, that to `name.log.2`, and so on. */
export function rotateLog(home: string, component: string, limits: LogLimits): boolean {
  const file = logFile(home, component);
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size < limits.maxBytes) {
    return false;
  }
  rmSync(`${file}.${limits.keep}`, { force: true });
  for (let number = limits.keep - 1; number >= 1; number--) {
    if (statSync(`${file}.${number}`, { throwIfNoEntry: false }) !== undefined) {
      renameSync(`${file}.${number}`, `${file}.${number + 1}`);
    }
  }
  copyFileSync(file, `${file}.1`);
  truncateSync(file, 0);
  return true;
}

function logFile(home: string, component: string): string {
  return path.join(home, 'logs', `${component}.log`);
}
