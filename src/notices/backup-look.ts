/** Backups that a host was to make by itself and has not: whoever makes none does not say so. */
import { timeText } from '../base/time-text.ts';
import type { Database } from '../database/connection.ts';
import { knowsSchedules, listScheduledBackups, type ScheduledBackups } from '../domain/backup-schedules.ts';
import type { Look } from './conditions.ts';

const dayMs = 86_400_000;

export function backupLook(db: Database, now: () => number = Date.now): Look {
  return {
    kind: 'backup-overdue',
    scope: '',
    confirmSeconds: 0,
    look: async () => {
      const all = (await knowsSchedules(db)) ? await listScheduledBackups(db) : [];
      return all
        .filter(({ overdue }) => overdue)
        .map((schedule) => ({
          subject: schedule.host,
          message: overdueText(schedule),
          again: new Date(now() + dayMs),
        }));
    },
  };
}

function overdueText({ host, dueAt, goodAt, triedAt, failure }: ScheduledBackups): string {
  const last = goodAt === null ? 'there has been none yet' : `the last good one is of ${timeText(goodAt)}`;
  const why =
    failure === null || triedAt === null
      ? `Does its supervisor run, and is the schedule in its home? \`bramble backup schedule show\` there.`
      : `It was tried at ${timeText(triedAt)}: ${failure}`;
  return `the backup that ${host} was to make at ${timeText(dueAt)} is overdue; ${last}. ${why}`;
}
