/**
 * Sets the schedule of backups on this host, or takes it away: in the home, where it is carried out, and in the domain's database, where
 * it is missed. In this order one that is set is never missed without being carried out for long, and one that is off is not missed.
 */
import { access, constants, stat } from 'node:fs/promises';
import { recorded } from '../access/audit/record.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import { type Transaction, withDatabase } from '../database/connection.ts';
import { deleteSchedule, knowsSchedules, listScheduledBackups, writeSchedule } from '../domain/backup-schedules.ts';
import * as local from '../processes/supervisor/backup-schedule.ts';
import { readHomeFiles } from './home-files.ts';
import { ownDatabase } from './own-database.ts';
import { readKeptPassphrase } from './passphrase-file.ts';
import { assertLongEnough } from './passphrase-key.ts';
import { isApart } from './scheduled-backup.ts';
import { assertSupervisorMay } from './supervisor-view.ts';

const applicationName = 'bramble/backup';

export type NewSchedule = Pick<
  local.BackupSchedule,
  'daily' | 'folder' | 'passphraseFile' | 'scratch' | 'keep' | 'verifies'
>;

/**
 * @returns when the first is made
 * @throws BrambleError ERR_INPUT, ERR_BACKUP_PASSPHRASE, ERR_BACKUP_WRITE, ERR_CONFIGURATION for what a run would fail of; ERR_STATE for
 *   a domain that is of 1.3
 */
export async function setSchedule(home: string, wanted: NewSchedule, user: string): Promise<Date> {
  assertLongEnough(await readKeptPassphrase(wanted.passphraseFile));
  await assertWritable(wanted.folder);
  await assertSupervisorMay(home, { ...wanted, file: wanted.passphraseFile });
  await readHomeFiles(home);
  const now = new Date();
  const dueAt = local.nextDue(wanted.daily, now);
  const { daily, folder, keep, verifies } = wanted;
  await onDomain(home, user, 'set', async (tx, host) => {
    await writeSchedule(tx, { host, daily, zone: local.ownZone(), folder, keep, verifies, setBy: user }, dueAt);
    const onOtherFileSystem = await isApart(folder, home);
    await local.removeSchedule(home);
    await local.writeSchedule(home, { format: 1, ...wanted, onOtherFileSystem, setBy: user, setAt: now.toISOString() });
  });
  return dueAt;
}

/** @param host another than this one, that is gone @throws BrambleError ERR_NOT_FOUND when there is none */
export async function removeSchedule(home: string, user: string, host?: string): Promise<string> {
  return await onDomain(home, user, 'off', async (tx, own) => {
    const of = host ?? own;
    const isHere = of === own && (await local.readSchedule(home).catch(() => null)) !== undefined;
    if (isHere) await local.removeSchedule(home);
    if (!(await deleteSchedule(tx, of)) && !isHere) {
      throw new BrambleError('ERR_NOT_FOUND', `No backups are scheduled on ${of}.`);
    }
    return of;
  });
}

/** What is scheduled anywhere in the domain, and what is carried out here. */
export async function showSchedules(home: string) {
  const { url, host } = await ownDatabase(home);
  const here = (await local.readSchedule(home)) ?? null;
  return await withDatabase(url, applicationName, async (db) => {
    const hosts = (await knowsSchedules(db)) ? await listScheduledBackups(db) : [];
    return { host, here, hosts };
  });
}

async function onDomain<Result>(
  home: string,
  user: string,
  what: string,
  work: (tx: Transaction, host: string) => Promise<Result>,
): Promise<Result> {
  const { url, host } = await ownDatabase(home);
  return await withDatabase(url, applicationName, async (db) => {
    if (!(await knowsSchedules(db))) {
      throw new BrambleError(
        'ERR_STATE',
        'The domain’s database knows nothing of schedules yet: upgrade the domain first. Nothing was changed.',
      );
    }
    const component = `bramble backup schedule ${what}`;
    const operation = {
      ...{ actor: user, operation: `backup schedule ${what}`, subjects: [host] },
      ...{ from: { component, host }, when: 'wrote' as const },
    };
    const done = await db.begin(async (tx) => await recorded(tx, operation, async () => await work(tx, host)));
    return done as Result;
  });
}

async function assertWritable(folder: string): Promise<void> {
  try {
    if (!(await stat(folder)).isDirectory()) throw new Error('it is no folder');
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new BrambleError(
      'ERR_INPUT',
      `Backups cannot be written to ${folder}: ${messageOf(cause)}. Nothing was set.`,
      {
        cause,
      },
    );
  }
}
