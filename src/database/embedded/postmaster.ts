/**
 * Finding the running server of a data folder. `postmaster.pid` outlives a killed server, and its process id may by now
 * belong to another process; a server counts only while its process runs in the data folder.
 */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { readPresent } from '../../base/present-file.ts';
import { isAlive, runsIn } from '../../base/process-facts.ts';

/** The lines of `postmaster.pid` that we use. @see PostgreSQL, src/include/utils/pidfile.h */
interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** `starting`, `ready`, `stopping` and so on; empty when not yet written. */
  readonly status: string;
}

export function parsePostmasterFile(text: string): Postmaster | null {
  const lines = text.split('\n');
  const pid = Number(lines[0]?.trim());
  const port = Number(lines[3]?.trim());
  if (!Number.isSafeInteger(pid) || pid <= 0) {
    return null;
  }
  return { pid, port: Number.isSafeInteger(port) ? port : 0, status: lines[7]?.trim() ?? '' };
}

/** The live server of the data folder, or null. The port is 0 in the first moments of its life. */
export async function findPostmaster(dataFolder: string): Promise<Postmaster | null> {
  const recorded = await readPostmasterFile(dataFolder);
  if (recorded === null || !(await isPostmaster(recorded.pid, dataFolder))) {
    return null;
  }
  return recorded;
}

/** Whether the process lives and works in the data folder, as only its postmaster and children do. */
export async function isPostmaster(pid: number, dataFolder: string): Promise<boolean> {
  return (await isAlive(pid)) && (await runsIn(pid, dataFolder));
}

/**
 * A killed server's process id may since have gone to another process of the same user, and then PostgreSQL refuses to
 * start. Removing the file would also remove its check that no orphan still uses the shared memory. So only the id is
 * replaced by ours: a server ignores its parent's id.
 */
export async function overwriteReusedPid(dataFolder: string): Promise<void> {
  const recorded = await readPostmasterFile(dataFolder);
  if (recorded === null || !(await isAlive(recorded.pid)) || (await isPostmaster(recorded.pid, dataFolder))) {
    return;
  }
  const file = path.join(dataFolder, 'postmaster.pid');
  const lines = (await readFile(file, 'utf8')).split('\n');
  await writeFile(file, [String(process.pid), ...lines.slice(1)].join('\n'));
}

async function readPostmasterFile(dataFolder: string): Promise<Postmaster | null> {
  const text = await readPresent(path.join(dataFolder, 'postmaster.pid'));
  return text === null ? null : parsePostmasterFile(text);
}
