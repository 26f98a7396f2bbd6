/**
 * Periodic upkeep of the enrolments of an instance's accounts: resumes those whose certificate was seen at a connection
 * service; suspends those whose name was claimed at another instance, or under 1.1; ends those that stayed suspended,
 * and those that were told to leave. Invariant: the cost of a turn grows with the recent newcomers, not with the fleet,
 * which is swept page by page.
 */
import type { Clock } from '../../base/clock.ts';
import type { DeviceId } from '../../base/ids.ts';
import { createUpkeep, type Upkeep } from '../../component/upkeep.ts';
import type { Transaction } from '../../database/connection.ts';
import { type AnnouncementOptions, reinstateHeard } from '../../devices/announcements.ts';
import { finishRemovals } from '../../devices/device-removal.ts';
import {
  endSuspended,
  maxSuspended,
  type NamesLookedAt,
  pageOfDevices,
  suspendEarlier,
} from '../../devices/suspension.ts';
import type { Logger } from '../../process/log/logger.ts';

/** Small, because a mover waits for the accounts that a step holds. */
const stepTimeoutMs = 2000;
/** After this many failed turns a newcomer is left to the pass through all devices. */
const newcomersWithinMinutes = 15;
/** Of any instance's: a pass over a fleet of 100,000 takes less than an hour, at some milliseconds a turn. */
const devicesOfPage = 2000;
/** Transactions of suspensions per turn; the rest follows in the next. */
const maxSuspensions = 20;

export function createEnrolmentUpkeep(parts: {
  announcements: AnnouncementOptions;
  clock: Clock;
  log: Logger;
  /** Default 2000. */
  devicesOfPage?: number;
}): Upkeep {
  const { announcements, clock, log } = parts;
  const { db, instanceId } = announcements;
  /** Start of the next page of the pass through all devices; it wraps around after the last one. */
  let nextPage: DeviceId | null = null;

  async function briefly<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const result = await db.begin(async (tx) => {
      await tx`select set_config('statement_timeout', ${String(stepTimeoutMs)}, true)`;
      return await work(tx);
    });
    return result as Result;
  }

  /** Whether everything found was suspended. */
  async function suspendAll(looked: NamesLookedAt): Promise<boolean> {
    for (let round = 0; round < maxSuspensions; round += 1) {
      if ((await briefly((tx) => suspendEarlier(tx, instanceId, looked))) < maxSuspended) return true;
    }
    return false;
  }

  async function goThroughPage(): Promise<void> {
    const page = await pageOfDevices(db, nextPage, parts.devicesOfPage ?? devicesOfPage);
    const here = nextPage;
    // A failing page is retried in the next pass and does not stop this one.
    nextPage = page.to;
    if (!(await suspendAll(page))) nextPage = here;
  }

  return createUpkeep({
    of: 'enrolments',
    steps: {
      'reinstate enrolments that were heard of': () => reinstateHeard(announcements),
      suspend: () => suspendAll({ authenticatedWithinMinutes: newcomersWithinMinutes }),
      'suspend superseded enrolments': goThroughPage,
      'end suspended enrolments': () => briefly((tx) => endSuspended(tx, instanceId)),
      'finish removals': () => briefly((tx) => finishRemovals(tx, instanceId)),
    },
    clock,
    log,
  });
}
