/** The windows of an upgrade at this moment, by the database's clock. */
import type { PlanOptions } from '../../api/upgrade-options.ts';
import type { Queryable } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { openingText, openSeconds, type Schedule, scheduleAt } from '../state/schedule-windows.ts';
import { readDestinations, readOpenWindows } from '../state/upgrade-store.ts';
import { runningSince, type Wave } from '../state/wave-store.ts';
import { listAbsentDestinations } from './absent-destinations.ts';

/** @throws BrambleError ERR_UPGRADE_WINDOW */
export async function readSchedule(q: Queryable, { windows }: Pick<PlanOptions, 'windows'>): Promise<Schedule> {
  if (windows.length === 0) return { kind: 'always' };
  return scheduleAt(windows, await databaseTime(q));
}

/**
 * The upgrade whose moves may not start now, for whoever carries moves out: the coordinator, which would hold them back, may be
 * away just when a window closes or a destination is lost.
 */
export async function heldUpgrade(q: Queryable): Promise<string | undefined> {
  const outside = await upgradeOutsideWindows(q);
  if (outside !== undefined) return outside;
  const open = await readDestinations(q);
  return open !== undefined && (await listAbsentDestinations(q, open.id, open.names)).length > 0 ? open.id : undefined;
}

async function upgradeOutsideWindows(q: Queryable): Promise<string | undefined> {
  const open = await readOpenWindows(q);
  if (open === undefined) return undefined;
  return heldBySchedule(await readSchedule(q, open)) === undefined ? undefined : open.id;
}

/** What is waited for before anything new may start; undefined if it may. */
export function heldBySchedule(schedule: Schedule): string | undefined {
  return schedule.kind === 'closed' ? openingText(schedule.next) : undefined;
}

/** For how long the wave has been running while a window was open: otherwise no deadline runs. */
export function runningSeconds(
  { windows }: Pick<PlanOptions, 'windows'>,
  wave: Pick<Wave, 'startedAt' | 'gate' | 'absentUntil' | 'readAt'>,
): number {
  const since = runningSince(wave);
  return since === null ? 0 : openSeconds(windows, since, wave.readAt);
}
