/** Cleans up at the end of an upgrade, whatever its outcome; in the transaction that ends it. */

import { budgetSchema } from '../../api/budget.ts';
import type { Transaction } from '../../database/connection.ts';
import { writeBudget } from '../../deliveries/budget.ts';
import { standingInstances } from '../../instances/instances.ts';
import { removeDesiredCoordinator } from '../../registry/desired-processes.ts';
import type { Upgrade } from './upgrade-store.ts';

/** Stops the coordinator and restores the domain's budget. */
export async function closeUpgrade(tx: Transaction, upgrade: Upgrade): Promise<void> {
  await removeDesiredCoordinator(tx);
  const before = upgrade.progress.budgetBefore;
  if (before === undefined) return;
  await writeBudget(tx, budgetSchema.parse(before), await standingInstances(tx));
}
