/** The account's row behind one device: the fence for what its instance does, and the lock for what an administrator does. */
import { fencedAccount } from '../accounts/account-fence.ts';
import type { DeviceId } from '../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';

/** {@link fencedAccount} of the device's account; by device_pkey and account_pkey. */
export function fencedAccountOf(q: Queryable, instanceId: string, deviceId: string): SqlFragment {
  return fencedAccount(q, instanceId, q`a.id = (select d.account_id from device d where d.id = ${deviceId})`);
}

/**
 * Locks the account of the device `d` that the condition selects. What is decided by is read afterwards, in another
 * statement: one that waited for the lock still shows the other rows as they were before it waited.
 */
export async function lockAccountOf(
  tx: Transaction,
  chosen: SqlFragment,
  strength: 'share' | 'no key update',
): Promise<DeviceId | undefined> {
  const [device] = await tx<{ id: DeviceId }[]>`
    select d.id from device d join account a on a.id = d.account_id
     where ${chosen} for ${tx.unsafe(strength)} of a`;
  return device?.id;
}
