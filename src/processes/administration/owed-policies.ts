/** The deliveries due after a change of IT policies or their assignments. */
import type { Transaction } from '../../database/connection.ts';
import { announceDeliveries, oweDeliveries } from '../../deliveries/owe-deliveries.ts';

/** Queues the IT policy for these accounts, under the budget; returns for how many devices. */
export async function owePolicy(tx: Transaction, accountIds: readonly string[]): Promise<number> {
  const owed = await oweDeliveries(tx, { accountIds, cause: 'policy-change', budgeted: true, items: ['it-policy'] });
  await announceDeliveries(tx);
  return owed.length;
}
