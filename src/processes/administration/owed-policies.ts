/** What a change of IT policies, or of who they apply to, makes due. */
import type { Transaction } from '../../database/connection.ts';
import { announceDeliveries, oweDeliveries } from '../../deliveries/owe-deliveries.ts';

/** Owes these accounts their IT policy under the budget; returns for how many devices. */
export async function owePolicy(tx: Transaction, accountIds: readonly string[]): Promise<number> {
  const owed = await oweDeliveries(tx, { accountIds, cause: 'policy-change', budgeted: true, items: ['it-policy'] });
  await announceDeliveries(tx);
  return owed.length;
}
