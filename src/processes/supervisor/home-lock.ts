/**
 * Allows one supervisor for each home, and one scheduled backup. The lock is the file `supervisor.lock.<n>` (`backup.lock.<n>`)
 * with the highest number; its holder is named in it by process id and birth.
 *
 * A process that finds the holder of the highest one dead creates the next number, which the file system grants to one
 * process only, and then looks again: it holds the lock if no higher number has appeared. Numbers never fall, because
 * releasing keeps the file and only a holder removes lower ones. So a slow rival that judged an older number cannot
 * take over from a live holder.
 *
 * Creating a number takes a new file, and so disk space. A file begun when there was none is removed again, and a
 * holder removes what killed rivals have left.
 */
import { randomBytes } from 'node:crypto';
import { link, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { readPresent } from '../../base/present-file.ts';
import { birthOf } from '../../base/process-facts.ts';

export interface HomeLock {
  release(): Promise<void>;
}

/** Of the file. */
export const lockFileShape = z.object({
  /** null once released. */
  pid: z.number().nullable(),
  birth: z.string().nullable(),
  /** Absent when written by a supervisor of 1.1. */
  release: z.string().optional(),
});
type Holder = z.output<typeof lockFileShape>;

/** In the details of ERR_ALREADY_RUNNING. */
export const holderShape = z.object({ pid: z.number(), birth: z.string(), release: z.string().nullable() });
export type LockHolder = z.output<typeof holderShape>;

/** What there is one of in a home. */
type Kind = 'supervisor' | 'backup';
/** Errors for a full disk, a user's quota, or the process's file size limit. */
const diskLimits = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/** @throws BrambleError ERR_ALREADY_RUNNING with the holder in its details ({@link holderShape}); ERR_HOME_DISK. */
export async function lockHome(home: string, release: string, kind: Kind = 'supervisor'): Promise<HomeLock> {
  const place = { home, kind };
  for (;;) {
    const highest = await highestNumber(place);
    const holder = highest === 0 ? null : await liveHolder(place, highest);
    if (holder !== null) {
      throw new BrambleError('ERR_ALREADY_RUNNING', heldText(place, holder.pid), {
        details: { pid: holder.pid, birth: holder.birth, release: holder.release ?? null },
      });
    }
    const own = highest + 1;
    const made = await makeFile(place, own, { pid: process.pid, birth: await birthOf(process.pid), release });
    if (made && (await highestNumber(place)) === own) {
      await removeLower(place, own);
      return { release: async () => await releaseFile(place, own) };
    }
    if (made) {
      await rm(fileOf(place, own), { force: true });
    }
  }
}

/** The process that supervises the home; null for none. */
export async function supervisorOf(home: string): Promise<number | null> {
  const place: Place = { home, kind: 'supervisor' };
  const highest = await highestNumber(place);
  return highest === 0 ? null : ((await liveHolder(place, highest))?.pid ?? null);
}

/** Whether the home's file of that name is a lock that nobody holds: one is left wherever a supervisor was started, or looked for. */
export async function isReleasedLock(home: string, name: string): Promise<boolean> {
  const [, kind, number] = /^(supervisor|backup)\.lock\.(\d+)$/.exec(name) ?? [];
  if (number === undefined) return false;
  return (await liveHolder({ home, kind: kind as Kind }, Number(number))) === null;
}

interface Place {
  home: string;
  kind: Kind;
}

function heldText({ home, kind }: Place, pid: number): string {
  return kind === 'backup'
    ? `A scheduled backup (process ${pid}) is at work in ${home}. Wait until it has ended.`
    : `A supervisor (process ${pid}) already runs on ${home}. Leave it running, stop it (\`bramble ` +
        'down`), or have this one take its place without touching its processes (`bramble up --take-over`).';
}

async function numbersOf(place: Place): Promise<number[]> {
  const prefix = prefixOf(place);
  const names = await readdir(place.home);
  return names
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)))
    .filter((number) => Number.isSafeInteger(number) && number > 0);
}

async function highestNumber(place: Place): Promise<number> {
  return Math.max(0, ...(await numbersOf(place)));
}

async function removeLower(place: Place, own: number): Promise<void> {
  const { home } = place;
  for (const number of await numbersOf(place)) {
    if (number < own) {
      await rm(fileOf(place, number), { force: true });
    }
  }
  // If the draft belongs to a rival, it finds it gone and looks again.
  for (const name of await readdir(home)) {
    if (name.startsWith(draftPrefixOf(place))) await rm(path.join(home, name), { force: true });
  }
}

/** null when nobody holds it. */
async function liveHolder(place: Place, number: number): Promise<(Holder & { pid: number }) | null> {
  const holder = await readHolder(place, number);
  if (holder === null || holder.pid === null || holder.birth !== (await birthOf(holder.pid))) return null;
  return { ...holder, pid: holder.pid };
}

/** null when it was removed meanwhile: then a higher one exists. */
async function readHolder(place: Place, number: number): Promise<Holder | null> {
  const text = await readPresent(fileOf(place, number));
  return text === null ? null : lockFileShape.parse(JSON.parse(text));
}

/**
 * The file appears with its contents or not at all; false when the number is taken, or another supervisor took the home
 * meanwhile.
 */
async function makeFile(place: Place, number: number, holder: Holder): Promise<boolean> {
  try {
    await withDraft(place, holder, async (draft) => await link(draft, fileOf(place, number)));
    return true;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EEXIST') return false;
    // The draft is gone, or the home is.
    if (code === 'ENOENT' && (await numbersOf(place)).length > 0) return false;
    if (!diskLimits.includes(code)) throw error;
    throw new BrambleError(
      'ERR_HOME_DISK',
      `The ${place.kind} cannot lock ${place.home}, for which it writes a small file there: ${messageOf(error)}. Free some ` +
        `disk space for ${place.home}, or raise the quota, and try again.`,
      { cause: error },
    );
  }
}

/** If the disk is full the file stays unchanged, which locks nothing once its process has ended. */
async function releaseFile(place: Place, number: number): Promise<void> {
  try {
    await withDraft(place, { pid: null, birth: null }, async (draft) => await rename(draft, fileOf(place, number)));
  } catch (error) {
    if (!diskLimits.includes(codeOf(error))) throw error;
  }
}

async function withDraft(place: Place, holder: Holder, use: (draft: string) => Promise<void>): Promise<void> {
  const draft = path.join(place.home, `${draftPrefixOf(place)}${randomBytes(6).toString('hex')}`);
  try {
    await writeFile(draft, JSON.stringify(holder), { mode: 0o600 });
    await use(draft);
  } finally {
    await rm(draft, { force: true });
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

function fileOf(place: Place, number: number): string {
  return path.join(place.home, `${prefixOf(place)}${number}`);
}

function prefixOf({ kind }: Place): string {
  return `${kind}.lock.`;
}

function draftPrefixOf({ kind }: Place): string {
  return `.${kind}-lock-`;
}
