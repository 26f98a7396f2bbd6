/**
 * What the policy service does now and then besides releasing and waking, each at its own interval: permits come back,
 * silent devices become suspects, refused policies are owed again, old commands go.
 */
import type { Clock } from '../base/clock.ts';
import type { Database } from '../database/connection.ts';
import type { GuardedSteps } from './guarded-steps.ts';
import type { Paces } from './paces.ts';
import { collectStrayPermits } from './permits.ts';
import { markSuspects, takeBackForgotten, takeBackSilent } from './suspects.ts';
import { createChore, oweRefusedPolicies, trimCommands } from './upkeep.ts';

export interface ServiceChores {
  /** Frees slots that nobody uses. */
  freeSlots(paces: Paces): Promise<void>;
  /** Returns how many are owed again. */
  oweRefused(paces: Paces): Promise<number>;
  trimCommands(paces: Paces): Promise<void>;
  /** How many devices became suspects since the beginning. */
  suspects(): number;
}

const maxTrimmed = 1000;

export function createServiceChores(parts: {
  readonly db: Database;
  readonly instanceId: string;
  readonly clock: Clock;
  readonly steps: GuardedSteps;
}): ServiceChores {
  const { db, instanceId, clock, steps } = parts;
  const isDue = {
    suspects: createChore(clock, 1000),
    strays: createChore(clock, 2000),
    refused: createChore(clock, 15_000),
    trim: createChore(clock, 60_000),
  };
  let suspects = 0;
  return {
    async freeSlots({ budget }) {
      if (isDue.strays()) await steps.take('collect stray permits', async () => void (await collectStrayPermits(db)));
      if (!isDue.suspects()) return;
      await steps.take('mark suspects', async () => {
        await takeBackSilent(db, instanceId, budget.suspectAfterSeconds);
        await takeBackForgotten(db, budget.suspectAfterSeconds);
        suspects += (await markSuspects(db, instanceId, budget.suspectAfterSeconds)).length;
      });
    },
    async oweRefused({ delivery }) {
      let owed = 0;
      if (!isDue.refused()) return owed;
      await steps.take('owe refused policies again', async () => {
        owed = await oweRefusedPolicies(db, instanceId, delivery.redeliverAfterSeconds);
      });
      return owed;
    },
    async trimCommands({ delivery }) {
      if (!isDue.trim()) return;
      await steps.take('trim the command table', async () => {
        await trimCommands(db, instanceId, delivery.trimCommandsAfterSeconds, maxTrimmed);
      });
    },
    suspects: () => suspects,
  };
}
