/** Processes that a test run left behind, when a test was ended in the middle. Found on Linux; elsewhere none are. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

export interface Leftover {
  pid: number;
  command: string;
}

/**
 * Ends every process that works in `folder` or below, or was told by its environment to keep temporary files there.
 * @returns those that there were; of a PostgreSQL its first process.
 */
export async function endLeftovers(folder: string): Promise<Leftover[]> {
  const ended = new Map<number, Leftover>();
  // A supervisor may start another process before its own end comes.
  for (let round = 0; round < 50; round++) {
    const found = await leftoversOf(folder);
    if (found.length === 0) break;
    for (const leftover of found) {
      ended.set(leftover.pid, leftover);
      end(leftover);
    }
    await delay(100);
  }
  return [...ended.values()].filter(({ command }) => !command.startsWith('postgres: '));
}

/** PostgreSQL gives its shared memory back on SIGQUIT, its immediate shutdown; a process that is stopped hears only SIGKILL. */
function end({ pid, command }: Leftover): void {
  try {
    process.kill(pid, /^(\S*\/)?postgres(:? |$)/.test(command) ? 'SIGQUIT' : 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function leftoversOf(folder: string): Promise<Leftover[]> {
  if (process.platform !== 'linux') return [];
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 1 && pid !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid): Promise<Leftover[]> => {
      try {
        const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim();
        // A process that has ended, and waits for its parent to ask how, has no command any more.
        if (command === '') return [];
        const variables = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0');
        const place = `${await readlink(`/proc/${pid}/cwd`)}/`;
        const isOurs = variables.includes(`TMPDIR=${folder}`) || place.startsWith(`${folder}/`);
        return isOurs ? [{ pid, command }] : [];
      } catch {
        // It has ended meanwhile, or is another user's.
        return [];
      }
    }),
  );
  return found.flat();
}
