/** The deliveries due after a change of IT policies or their assignments. */
import type { Transaction } from '../../database/connection.ts';
import { announceDeliveries, oweDeliveries } from '../../deliveries/owe-deliveries.ts';
import type { Platforms } from '../../platforms/port.ts';

/** Queues the IT policy for these accounts, under the budget; returns for how many devices. */
export async function owePolicy(tx: Transaction, platforms: Platforms, accountIds: readonly string[]): Promise<number> {
  const owed = await oweDeliveries(tx, platforms, {
    accountIds,
    cause: 'policy-change',
    budgeted: true,
    items: ['it-policy'],
  });
  await announceDeliveries(tx);
  return owed.length;
}
