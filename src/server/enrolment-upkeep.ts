/**
 * What an instance does now and then about the enrolments of its own accounts: suspends those whose UDID another one named
 * at another instance, or under 1.1; ends those that stayed so, and those that were told to leave and did.
 * Invariant: each turn starts from the database, and a step that fails is logged and does not keep the others from their turn.
 */
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { InstanceId } from '../base/ids.ts';
import type { Database, Transaction } from '../database/connection.ts';
import { finishRemovals } from '../devices/device-removal.ts';
import { endSuspended, suspendEarlier } from '../devices/suspension.ts';
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

export function createEnrolmentUpkeep(parts: {
  db: Database;
  instanceId: InstanceId;
  clock: Clock;
  log: Logger;
}): EnrolmentUpkeep {
  const { db, instanceId, clock, log } = parts;

  async function step(name: string, work: (tx: Transaction) => Promise<unknown>): Promise<void> {
    try {
      await db.begin(async (tx) => {
        await tx`select set_config('statement_timeout', ${String(stepTimeoutMs)}, true)`;
        await work(tx);
      });
    } catch (error) {
      log.error({ step: name, error: messageOf(error) }, 'the upkeep of enrolments failed; it is tried again');
    }
  }

  async function turn(): Promise<void> {
    await step('suspend', (tx) => suspendEarlier(tx, instanceId));
    await step('end suspended ones', (tx) => endSuspended(tx, instanceId));
    await step('finish removals', (tx) => finishRemovals(tx, instanceId));
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
