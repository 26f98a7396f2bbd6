/**
 * What the domain knows of backups that hosts make by themselves: which are to be made, and how the last one went. The host's
 * home says what is done (`processes/supervisor/backup-schedule.ts`); here others see that nothing is.
 */
import type { Queryable, Transaction } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';

interface HostSchedule {
  host: string;
  /** `02:30`, in that zone. */
  daily: string;
  /** The host's own, such as `Europe/Berlin`, as its last run had it. */
  zone: string;
  folder: string;
  keep: number | null;
  verifies: boolean;
  setBy: string;
}

type HostInZone = Pick<HostSchedule, 'host' | 'zone'>;

export interface ScheduledBackups extends HostSchedule {
  /** When the first one after the last good one is to begin. */
  dueAt: Date;
  goodAt: Date | null;
  goodFile: string | null;
  triedAt: Date | null;
  /** Of the last one; null if it was good, or there was none. */
  failure: string | null;
  overdue: boolean;
}

/** For making, trying, and being tried again after a failure. */
const overdueAfterHours = 3;

/** Before an upgrade to 1.4 has expanded the schema there is no table for it. */
export async function knowsSchedules(q: Queryable): Promise<boolean> {
  return await hasTable(q, 'backup_schedule');
}

export async function listScheduledBackups(q: Queryable): Promise<ScheduledBackups[]> {
  return await q<ScheduledBackups[]>`
    select host, daily, zone, folder, keep, verifies, set_by as "setBy", due_at as "dueAt", good_at as "goodAt",
           good_file as "goodFile", tried_at as "triedAt", failure,
           due_at < now() - make_interval(hours => ${overdueAfterHours}) as overdue
      from backup_schedule order by host`;
}

export async function writeSchedule(tx: Transaction, schedule: HostSchedule, dueAt: Date): Promise<void> {
  const { host, daily, zone, folder, keep, verifies, setBy } = schedule;
  await tx`
    insert into backup_schedule (host, daily, zone, folder, keep, verifies, set_by, due_at)
    values (${host}, ${daily}, ${zone}, ${folder}, ${keep}, ${verifies}, ${setBy}, ${dueAt})
    on conflict (host) do update
       set daily = excluded.daily, zone = excluded.zone, folder = excluded.folder, keep = excluded.keep,
           verifies = excluded.verifies, set_by = excluded.set_by, set_at = now(), due_at = excluded.due_at, failure = null`;
}

/** False if none was set for the host. */
export async function deleteSchedule(tx: Transaction, host: string): Promise<boolean> {
  return (await tx`delete from backup_schedule where host = ${host} returning host`).length > 0;
}

/** A schedule that was taken away meanwhile stays away. */
export async function noteGoodBackup(
  q: Queryable,
  { host, zone }: HostInZone,
  file: string,
  dueAt: Date,
): Promise<void> {
  await q`
    update backup_schedule
       set good_at = now(), good_file = ${file}, tried_at = now(), failure = null, due_at = ${dueAt}, zone = ${zone}
     where host = ${host}`;
}

export async function noteFailedBackup(q: Queryable, { host, zone }: HostInZone, failure: string): Promise<void> {
  await q`update backup_schedule set tried_at = now(), failure = ${failure}, zone = ${zone} where host = ${host}`;
}
