/** What a retired instance had of the budget, in a file of its own: instances themselves may not take it away. */
import type { Transaction } from '../database/connection.ts';

/** A retired instance has no part of the budget any more; a permit that is taken goes when it is given back (see permits.ts). */
export async function forgetInstance(tx: Transaction, instanceId: string): Promise<void> {
  await tx`delete from delivery_permit where scope = ${instanceId} and delivery_id is null`;
  await tx`delete from send_rate where scope = ${instanceId}`;
  await tx`delete from delivery_hold where instance_id = ${instanceId}`;
}
