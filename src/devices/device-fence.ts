/** The account fence for statements about one device. */
import { fencedAccount } from '../accounts/account-fence.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** {@link fencedAccount} of the device's account; by device_pkey and account_pkey. */
export function fencedAccountOf(q: Queryable, instanceId: string, deviceId: string): SqlFragment {
  return fencedAccount(q, instanceId, q`a.id = (select d.account_id from device d where d.id = ${deviceId})`);
}
