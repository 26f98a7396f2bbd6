/**
 * What the operating system knows about a process. A process id alone proves nothing, because ids are reused: code that
 * stores one also stores the process's birth, and compares both.
 *
 * Invariant: a process counts as gone only when the system says so. If it cannot tell, for example for lack of
 * descriptors, the query is retried for a while, and then the error is thrown.
 */
import { execFile } from 'node:child_process';
import { readdir, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import { readPresent, throughShortage } from './present-file.ts';

const run = promisify(execFile);

/**
 * Whether a process with this id exists (zombies do not count where the system tells). One of another user counts too.
 */
export async function isAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const fields = await statFields(pid);
  return fields === null || fields[0] !== 'Z';
}

/**
 * A text that distinguishes two processes with the same id, even across a reboot.
 * @returns null when there is no such process.
 */
export async function birthOf(pid: number): Promise<string | null> {
  if (process.platform === 'linux') {
    const fields = await statFields(pid);
    if (fields === null || fields[0] === 'Z') {
      return null;
    }
    const bootId = await readPresent('/proc/sys/kernel/random/boot_id');
    return `${bootId?.trim() ?? ''}:${fields[19] ?? ''}`;
  }
  return await psField(pid, 'lstart');
}

/** Signals the process with this id and birth, and no other. Does nothing if it is gone. */
export async function signalProcess(pid: number, birth: string, signal: NodeJS.Signals): Promise<void> {
  if ((await birthOf(pid)) !== birth) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Whether the process works in `folder` (Linux), or names it in its command line (elsewhere). */
export async function runsIn(pid: number, folder: string): Promise<boolean> {
  if (process.platform === 'linux') {
    try {
      return (await readlink(`/proc/${pid}/cwd`)) === folder;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') {
        return false;
      }
      throw error;
    }
  }
  return (await psField(pid, 'command'))?.includes(folder) ?? false;
}

/** Whether the process was started as this program, by its command line. */
export async function runs(pid: number, program: string): Promise<boolean> {
  const command =
    process.platform === 'linux'
      ? (await readPresent(`/proc/${pid}/cmdline`))?.split('\0')[0]
      : await psField(pid, 'command');
  return command === program || command?.startsWith(`${program} `) === true;
}

/**
 * The fields of /proc/<pid>/stat from the state on (field 3 of proc(5)); null without such a process or such a file.
 * Null too for another user's process, if the kernel hides those (`hidepid`); our own are always visible.
 */
async function statFields(pid: number): Promise<string[] | null> {
  if (process.platform !== 'linux') {
    return null;
  }
  try {
    const text = await readPresent(`/proc/${pid}/stat`);
    return text?.slice(text.lastIndexOf(')') + 2).split(' ') ?? null;
  } catch (error) {
    if (['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

async function psField(pid: number, field: string): Promise<string | null> {
  try {
    const { stdout } = await throughShortage(() => run('ps', ['-o', `${field}=`, '-p', String(pid)]));
    return stdout.trim() === '' ? null : stdout.trim();
  } catch (error) {
    // The errors that mean there is no such process.
    if ((error as { code?: unknown }).code === 1) return null;
    throw error;
  }
}

interface ChildFacts {
  pid: number;
  /** Its command line, arguments separated by blanks. */
  command: string;
}

/** The living children of `parent`. */
export async function childrenOf(parent: number): Promise<ChildFacts[]> {
  if (process.platform !== 'linux') {
    const { stdout } = await run('ps', ['-A', '-ww', '-o', 'pid=,ppid=,args=']);
    return stdout.split('\n').flatMap((line) => {
      const [, pid, of, command = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
      return Number(of) === parent ? [{ pid: Number(pid), command }] : [];
    });
  }
  const ids = (await throughShortage(() => readdir('/proc')))
    .map(Number)
    .filter((id) => Number.isSafeInteger(id) && id > 0);
  const found = await Promise.all(
    ids.map(async (pid) => {
      const fields = await statFields(pid);
      if (fields === null || fields[0] === 'Z' || Number(fields[1]) !== parent) return [];
      const command = (await readPresent(`/proc/${pid}/cmdline`)) ?? '';
      return [{ pid, command: command.replaceAll('\0', ' ').trim() }];
    }),
  );
  return found.flat();
}
