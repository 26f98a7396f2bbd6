/**
 * One run of the schedule on this host: a backup is made and tried, and old ones are removed. How it went is told: to the domain's
 * database, from where notices and `bramble status` have it, and by the exit status to the supervisor.
 *
 * Invariants: one at a time in a home; it is noted as begun before it begins; and only a backup that passed everything that the
 * schedule asks for counts, and has the name of one.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { knowsSchedules, noteFailedBackup, noteGoodBackup } from '../domain/backup-schedules.ts';
import { recordEvent } from '../domain/events.ts';
import type { VerifiedBackup } from '../domain/verified-backups.ts';
import {
  type BackupSchedule,
  begin,
  dueNow,
  lastDue,
  nextDue,
  ownZone,
  passed,
  readSchedule,
  readScheduleState,
  writeScheduleState,
} from '../processes/supervisor/backup-schedule.ts';
import { lockHome } from '../processes/supervisor/home-lock.ts';
import { readOpenUpgrade } from '../upgrade/state/upgrade-store.ts';
import { failedEvent, unverifiedEvent } from './backup-events.ts';
import { fileNameOf, removeOldBackups, removeUnverified, unverifiedSuffix } from './backup-folder.ts';
import { type CreatedBackup, type CreateOptions, makeBackup } from './create-backup.ts';
import { ownDatabase } from './own-database.ts';
import { readKeptPassphrase } from './passphrase-file.ts';
import type { Program } from './rebuild-database.ts';
import { type VerifyOptions, verifyBackup } from './verify-backup.ts';

interface ScheduledOptions {
  home: string;
  program: Program;
  /** Who runs it. */
  user: string;
  /** Only if its time has come; otherwise at once. */
  onlyIfDue: boolean;
  onCopying?: CreateOptions['onProgress'];
  onVerifying?: VerifyOptions['onProgress'];
  signal?: AbortSignal;
  clock?: Clock;
}

export type ScheduledRun =
  | { outcome: 'not-due' }
  | { outcome: 'passed'; made: CreatedBackup; verified: VerifiedBackup | null; removed: string[] };

/** While one of these holds, the administration waits for a migration, which would wait for the backup. */
const migrating: readonly string[] = ['admin-fenced', 'expanded', 'finalizing'];
const fenceWait = { everyMs: 10_000, maxMs: 3_600_000 };

/**
 * @throws BrambleError ERR_STATE without a schedule, ERR_ALREADY_RUNNING; and whatever stops a backup or its verification, which is
 *   told then
 */
export async function runScheduledBackup(options: ScheduledOptions): Promise<ScheduledRun> {
  const { home, program, clock = systemClock, signal } = options;
  const lock = await lockHome(home, program.release, 'backup');
  try {
    const schedule = await readSchedule(home);
    if (schedule === undefined) throw noSchedule(home);
    const state = await readScheduleState(home);
    const now = new Date(clock.now());
    const due = dueNow(schedule, state, now);
    if (due === undefined && options.onlyIfDue) return { outcome: 'not-due' };
    const begun = begin(state, due ?? lastDue(schedule.daily, now), now);
    await writeScheduleState(home, begun);
    const run = await attempt(options, schedule, nextDue(schedule.daily, now), clock);
    signal?.throwIfAborted();
    await writeScheduleState(home, passed(begun));
    return run;
  } finally {
    await lock.release();
  }
}

async function attempt(
  options: ScheduledOptions,
  schedule: BackupSchedule,
  dueAt: Date,
  clock: Clock,
): Promise<ScheduledRun> {
  const { home, user, signal } = options;
  const { url, host } = await ownDatabase(home);
  const db = openDatabase(url, { applicationName: 'bramble/backup', max: 1 });
  let made: CreatedBackup | undefined;
  try {
    const { folder, keep } = schedule;
    made = await make(options, schedule, db, clock);
    await removeUnverified(folder, made.head);
    const verified = schedule.verifies ? await verify(options, schedule, made) : null;
    if (verified !== null) made = { ...made, path: verified.file };
    // Not before: as long as new ones are no good, the old ones are all there is.
    const removed = keep === null ? [] : await removeOldBackups(folder, made.head, keep);
    if (await knowsSchedules(db)) await noteGoodBackup(db, { host, zone: ownZone() }, made.path, dueAt);
    return { outcome: 'passed', made, verified, removed };
  } catch (error) {
    if (signal?.aborted !== true) {
      const event = made === undefined ? failedEvent(user, host, error) : unverifiedEvent(user, host, made.path, error);
      // Where the database is what failed, nobody can be told by way of it: from there it is overdue in a while.
      await tell(db, host, event, messageOf(error)).catch(() => {});
    }
    throw error;
  } finally {
    await db.end({ timeout: 5 });
  }
}

async function tell(db: Database, host: string, event: Parameters<typeof recordEvent>[1], failure: string) {
  await recordEvent(db, event);
  if (await knowsSchedules(db)) await noteFailedBackup(db, { host, zone: ownZone() }, failure);
}

async function make(
  { home, program, user, onCopying, signal }: ScheduledOptions,
  { folder, passphraseFile, onOtherFileSystem, verifies }: BackupSchedule,
  db: Database,
  clock: Clock,
): Promise<CreatedBackup> {
  const passphrase = await readKeptPassphrase(passphraseFile);
  if (onOtherFileSystem && !(await isApart(folder, home))) throw notMounted(folder);
  const deadline = clock.now() + fenceWait.maxMs;
  for (;;) {
    const mayWait = clock.now() < deadline;
    if (!mayWait || !(await isMigrating(db))) {
      try {
        const pathOf = (head: CreatedBackup['head']) =>
          join(folder, `${fileNameOf(head)}${verifies ? unverifiedSuffix : ''}`);
        return await makeBackup({
          home,
          passphrase,
          pathOf,
          release: program.release,
          user,
          ...(onCopying ? { onProgress: onCopying } : {}),
          ...(signal ? { signal } : {}),
        });
      } catch (error) {
        if (!mayWait || !isBrambleError(error, 'ERR_MIGRATION_BLOCKED')) throw error;
      }
    }
    await clock.sleep(fenceWait.everyMs, signal);
  }
}

async function verify(
  { home, program, user, onVerifying, signal }: ScheduledOptions,
  { folder, passphraseFile, scratch }: BackupSchedule,
  { path, head }: CreatedBackup,
): Promise<VerifiedBackup> {
  return await verifyBackup({
    ...{ file: path, passedAs: join(folder, fileNameOf(head)) },
    ...{ passphrase: await readKeptPassphrase(passphraseFile), home, program, by: user },
    ...(scratch === null ? {} : { scratch }),
    ...(onVerifying === undefined ? {} : { onProgress: onVerifying }),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function isMigrating(db: Database): Promise<boolean> {
  const open = await readOpenUpgrade(db);
  return open !== undefined && migrating.includes(open.state);
}

/** Whether the folder is on another file system than the home. */
export async function isApart(folder: string, home: string): Promise<boolean> {
  const [one, other] = await Promise.all([stat(folder), stat(home)]).catch((cause: unknown) => {
    throw new BrambleError(
      'ERR_BACKUP_WRITE',
      `The folder for backups ${folder} cannot be used: ${messageOf(cause)}.`,
      {
        cause,
      },
    );
  });
  return one.dev !== other.dev;
}

function notMounted(folder: string): BrambleError {
  return new BrambleError(
    'ERR_BACKUP_WRITE',
    `${folder} was on a file system of its own when the schedule was set, and now is on that of the home: mount it, or set the ` +
      'schedule again.',
  );
}

function noSchedule(home: string): BrambleError {
  return new BrambleError('ERR_STATE', `No backups are scheduled in ${home}: \`bramble backup schedule set\`.`);
}
