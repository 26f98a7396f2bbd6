/** What the end of an upgrade leaves tidy, whichever way it ended; in the transaction that ends it. */
import type { Transaction } from '../../database/connection.ts';
import { budgetSchema, writeBudget } from '../../deliveries/budget.ts';
import type { Upgrade } from './upgrade-store.ts';

/** The coordinator is no longer wanted, and the domain has its own budget again. */
export async function closeUpgrade(tx: Transaction, upgrade: Upgrade): Promise<void> {
  await tx`delete from desired_process where kind = 'coordinator'`;
  const before = upgrade.progress.budgetBefore;
  if (before === undefined) return;
  const instances = await tx<{ id: string }[]>`select id from instance where retired_at is null order by id`;
  const ids = instances.map((instance) => instance.id);
  await writeBudget(tx, budgetSchema.parse(before), ids);
}
