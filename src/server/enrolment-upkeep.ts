/**
 * What an instance does periodically about the enrolments of its own accounts: reinstates those whose certificate was heard
 * at a connection service; suspends those whose UDID was claimed at another instance, or under 1.1; ends those that stayed
 * suspended, and those that were told to leave.
 * Invariant: each turn starts from the database, and a step that fails is logged and does not hold up the others. The cost
 * of a turn grows with the recent newcomers, not with the fleet, which is swept page by page.
 */
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { DeviceId } from '../base/ids.ts';
import type { Transaction } from '../database/connection.ts';
import { type CheckinOptions, resumeHeard } from '../devices/checkin.ts';
import { finishRemovals } from '../devices/device-removal.ts';
import {
  endSuspended,
  type NamesLookedAt,
  pageOfDevices,
  suspendEarlier,
  suspendedAtOnce,
} from '../devices/suspension.ts';
import type { Logger } from '../process/logger.ts';

export interface EnrolmentUpkeep {
  /** One turn. Never rejects. */
  turn(): Promise<void>;
  /** Turns until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

const turnMs = 60_000;
/** A mover waits for the accounts that a step holds. */
const stepTimeoutMs = 2000;
/** So many turns may fail before a newcomer is left to the pass through all devices. */
const newcomersWithinMinutes = 15;
/** Of whichever instance's: a fleet of 100,000 is gone through in less than an hour, at some milliseconds a turn. */
const devicesOfPage = 2000;
/** Transactions of suspensions in a turn; what is left comes with the next. */
const suspensionsAtMost = 20;

export function createEnrolmentUpkeep(parts: {
  checkin: CheckinOptions;
  clock: Clock;
  log: Logger;
  /** Default 2000. */
  devicesOfPage?: number;
}): EnrolmentUpkeep {
  const { checkin, clock, log } = parts;
  const { db, instanceId } = checkin;
  /** Where the next page of the pass through all devices begins; after the last one it begins anew. */
  let nextPage: DeviceId | null = null;

  /** What came of it; undefined where it failed. */
  async function step<Result>(name: string, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (error) {
      log.error({ step: name, error: messageOf(error) }, 'the upkeep of enrolments failed; it is tried again');
      return undefined;
    }
  }

  async function briefly<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const result = await db.begin(async (tx) => {
      await tx`select set_config('statement_timeout', ${String(stepTimeoutMs)}, true)`;
      return await work(tx);
    });
    return result as Result;
  }

  /** Whether all that was found is suspended. */
  async function suspendAll(looked: NamesLookedAt): Promise<boolean> {
    for (let round = 0; round < suspensionsAtMost; round += 1) {
      if ((await briefly((tx) => suspendEarlier(tx, instanceId, looked))) < suspendedAtOnce) return true;
    }
    return false;
  }

  async function goThroughPage(): Promise<void> {
    const page = await pageOfDevices(db, nextPage, parts.devicesOfPage ?? devicesOfPage);
    const here = nextPage;
    // A page that fails is come back to with the next pass: it ends the pass for no other.
    nextPage = page.to;
    if (!(await suspendAll(page))) nextPage = here;
  }

  async function turn(): Promise<void> {
    await step('take back heard ones', () => resumeHeard(checkin));
    await step('suspend', () => suspendAll({ authenticatedWithinMinutes: newcomersWithinMinutes }));
    await step('suspend what was left', goThroughPage);
    await step('end suspended ones', () => briefly((tx) => endSuspended(tx, instanceId)));
    await step('finish removals', () => briefly((tx) => finishRemovals(tx, instanceId)));
  }

  return {
    turn,
    run: async (signal) => {
      while (!signal.aborted) {
        await turn();
        await clock.sleep(turnMs, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason;
        });
      }
    },
  };
}
