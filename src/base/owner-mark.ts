/**
 * Marks in names of files and folders: who made them, so that what a killed process has left can be told from what is at work.
 *
 * Invariant: something counts as left over only if its maker ran on this computer and is gone. The mark is in the name, so it is there as
 * soon as the file is.
 */
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { birthOf } from './process-facts.ts';

const form = /^([0-9a-f]{6})-(\d{1,10})-([0-9a-f]{6})$/;

/** Of this process. */
export async function ownerMark(): Promise<string> {
  return `${short(hostname())}-${process.pid}-${short(await birthOf(process.pid))}`;
}

/** False for what is no mark, too. */
export async function isLeftOver(mark: string): Promise<boolean> {
  const [, host, pid, birth] = form.exec(mark) ?? [];
  if (pid === undefined || host !== short(hostname())) return false;
  return birth !== short(await birthOf(Number(pid)));
}

function short(text: string | null): string {
  return createHash('sha256')
    .update(text ?? '')
    .digest('hex')
    .slice(0, 6);
}
