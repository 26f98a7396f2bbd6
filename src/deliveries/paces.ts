/**
 * The paces of a policy service: budget and delivery settings, read again once a second. Invariant: the instance's
 * permits and rates exist before its first turn releases anything; what was read last holds while nothing newer can be read.
 */

import type { Budget } from '../api/budget.ts';
import type { Clock } from '../base/clock.ts';
import type { Database } from '../database/connection.ts';
import { readSetting } from '../domain/settings.ts';
import { applyBudget, readBudget } from './budget.ts';
import { type DeliverySettings, deliverySettingsSchema } from './delivery-settings.ts';
import { createChore } from './upkeep.ts';

export interface Paces {
  readonly budget: Budget;
  readonly delivery: DeliverySettings;
}

export interface FollowedPaces {
  /** Reads them if that is due. */
  refresh(): Promise<void>;
  /** Undefined until they were read once. */
  current(): Paces | undefined;
}

export function createPaces(db: Database, instanceId: string, clock: Clock): FollowedPaces {
  const isDue = createChore(clock, 1000);
  let paces: Paces | undefined;
  let budgetApplied = false;
  return {
    async refresh() {
      if (paces && !isDue()) return;
      const budget = await readBudget(db);
      paces = { budget, delivery: await readSetting(db, 'delivery', deliverySettingsSchema) };
      if (budgetApplied) return;
      await db.begin(async (tx) => await applyBudget(tx, budget, [instanceId]));
      budgetApplied = true;
    },
    current: () => paces,
  };
}
