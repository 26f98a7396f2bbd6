/**
 * The schedule of backups on this host: `backup-schedule.json` in the home, and how far it has come,
 * `backup-schedule-state.json`. The schedule lies in the home and not in the database, as it names files of this computer, which
 * whoever can write into the database must not choose.
 *
 * Invariant: what is to begin is noted as begun before it is: a run that dies is tried again after a while, not at once and
 * for ever, and one that was missed is made up for.
 */
import { rm } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { readPresent } from '../../base/present-file.ts';
import { writeWholeFile } from '../../database/whole-file.ts';

/** By the host's clock, in its time zone. */
const timeOfDay = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/);

export const backupScheduleShape = z.object({
  format: z.literal(1),
  daily: timeOfDay,
  /** Whole paths. */
  folder: z.string().startsWith('/'),
  passphraseFile: z.string().startsWith('/'),
  scratch: z.string().startsWith('/').nullable(),
  /** Whether the folder was on another file system than the home: otherwise it is not mounted. */
  onOtherFileSystem: z.boolean(),
  /** So many of the domain's backups are left in the folder; null for all. */
  keep: z.int().min(1).nullable(),
  verifies: z.boolean(),
  setBy: z.string(),
  setAt: z.iso.datetime(),
});
export type BackupSchedule = z.output<typeof backupScheduleShape>;

export const backupScheduleStateShape = z.object({
  format: z.literal(1),
  /** When the last run was to begin. */
  dueAt: z.iso.datetime(),
  /** Runs for that time that have not passed. */
  failures: z.int().min(0),
  retryAt: z.iso.datetime().nullable(),
});
export type BackupScheduleState = z.output<typeof backupScheduleStateShape>;

const minuteMs = 60_000;
/** After the first failed run for one time, and after the second; then the next day's follows. */
const retriesAfterMs = [10 * minuteMs, 60 * minuteMs];

export function isTimeOfDay(text: string): boolean {
  return timeOfDay.safeParse(text).success;
}

/** In which this process takes times of day: the host's, unless `TZ` says otherwise. */
export function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** When a backup was last to begin. Once on each day, also on one of 23 or 25 hours. */
export function lastDue(daily: string, now: Date): Date {
  const today = dueOn(daily, now, 0);
  return today > now ? dueOn(daily, now, -1) : today;
}

/** When the next is to begin. */
export function nextDue(daily: string, after: Date): Date {
  const today = dueOn(daily, after, 0);
  return today > after ? today : dueOn(daily, after, 1);
}

/** In the spring night that has no such minute, the same time after the hour that is left out. */
function dueOn(daily: string, day: Date, later: number): Date {
  const [hours = 0, minutes = 0] = daily.split(':').map(Number);
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + later, hours, minutes);
}

/** The time for which a backup is to be made now; undefined if none is. What a clock that was ahead has noted counts for nothing. */
export function dueNow(
  { daily, setAt }: Pick<BackupSchedule, 'daily' | 'setAt'>,
  state: BackupScheduleState | undefined,
  now: Date,
): Date | undefined {
  const due = lastDue(daily, now);
  const known = [setAt, state?.dueAt].flatMap((text) => (text === undefined ? [] : [new Date(text)]));
  if (known.every((at) => at < due || at > now)) return due;
  const retryAt = state?.retryAt ?? null;
  return retryAt !== null && new Date(retryAt) <= now ? due : undefined;
}

/** Before a run for that time begins: as if it were going to fail. */
export function begin(state: BackupScheduleState | undefined, due: Date, now: Date): BackupScheduleState {
  const dueAt = due.toISOString();
  const failures = (state?.dueAt === dueAt ? state.failures : 0) + 1;
  const delayMs = retriesAfterMs[failures - 1];
  const retryAt = delayMs === undefined ? null : new Date(now.getTime() + delayMs).toISOString();
  return { format: 1, dueAt, failures, retryAt };
}

export function passed({ dueAt }: BackupScheduleState): BackupScheduleState {
  return { format: 1, dueAt, failures: 0, retryAt: null };
}

/** Undefined if none is set. @throws BrambleError ERR_CONFIGURATION when it cannot be read */
export async function readSchedule(home: string): Promise<BackupSchedule | undefined> {
  const text = await readPresent(fileOf(home));
  if (text === null) return undefined;
  try {
    return backupScheduleShape.parse(JSON.parse(text));
  } catch (cause) {
    throw new BrambleError(
      'ERR_CONFIGURATION',
      `The schedule of backups ${fileOf(home)} cannot be read: set it again with \`bramble backup schedule set\`.`,
      { cause },
    );
  }
}

export async function writeSchedule(home: string, schedule: BackupSchedule): Promise<void> {
  await writeWholeFile(fileOf(home), `${JSON.stringify(schedule, null, 2)}\n`, 'w');
}

export async function removeSchedule(home: string): Promise<void> {
  await rm(fileOf(home), { force: true });
  await rm(stateFileOf(home), { force: true });
}

/** Undefined for none, and for one that cannot be read: it is written anew. */
export async function readScheduleState(home: string): Promise<BackupScheduleState | undefined> {
  const text = await readPresent(stateFileOf(home));
  try {
    return backupScheduleStateShape.parse(JSON.parse(text ?? 'null'));
  } catch {
    return undefined;
  }
}

export async function writeScheduleState(home: string, state: BackupScheduleState): Promise<void> {
  await writeWholeFile(stateFileOf(home), `${JSON.stringify(state, null, 2)}\n`, 'w');
}

function fileOf(home: string): string {
  return path.join(home, 'backup-schedule.json');
}

function stateFileOf(home: string): string {
  return path.join(home, 'backup-schedule-state.json');
}
