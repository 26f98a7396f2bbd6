/** Removes a retired instance's share of the budget; a separate file, because instances may not do this themselves. */
import type { Transaction } from '../database/connection.ts';

/**
 * A retired instance loses its share of the budget; a permit in use is deleted when it is released (see permits.ts).
 */
export async function forgetInstance(tx: Transaction, instanceId: string): Promise<void> {
  await tx`delete from delivery_permit where scope = ${instanceId} and delivery_id is null`;
  await tx`delete from send_rate where scope = ${instanceId}`;
  await tx`delete from delivery_hold where instance_id = ${instanceId}`;
}
