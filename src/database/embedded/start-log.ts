/** The server's output before its own log collector runs: one small file per start, the latest few kept. */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';

const kept = 5;
const readBytes = 2000;

/** The path of a new log file; the oldest ones beyond the kept number are removed. */
export async function newStartLog(folder: string): Promise<string> {
  const logFolder = path.join(folder, 'starts');
  await mkdir(logFolder, { recursive: true, mode: 0o700 });
  const old = (await readdir(logFolder)).sort();
  for (const name of old.slice(0, Math.max(0, old.length - kept + 1))) {
    await rm(path.join(logFolder, name), { force: true });
  }
  const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
  return path.join(logFolder, `${time}-${randomBytes(3).toString('hex')}.log`);
}

/** The end of a start's log, in one text. */
export async function readStartLog(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.slice(-readBytes).trim() || 'nothing';
}
