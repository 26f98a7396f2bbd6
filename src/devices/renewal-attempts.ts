/**
 * Attempts to renew the identities of devices. Each delivery has one challenge, however often it is prepared; the one of an earlier
 * delivery ends with it.
 */
import { randomBytes } from 'node:crypto';
import { fencedAccounts } from '../accounts/account-fence.ts';
import type { Queryable } from '../database/connection.ts';
import type { OfferedDevice } from '../platforms/enrolment.ts';
import { column } from '../states/stored-names.ts';

interface RenewalAttempt extends OfferedDevice {
  platform: string;
  /** The one that the device knows. */
  channel: string | null;
}

/** Idempotent for each delivery. Fenced; by device_pkey, delivery_pkey and device_renewal_pkey. */
export async function beginRenewals(
  q: Queryable,
  instanceId: string,
  orders: readonly { readonly id: string; readonly deviceId: string; readonly accountId: string }[],
): Promise<RenewalAttempt[]> {
  return await q<RenewalAttempt[]>`
    with wanted as materialized (
      select * from unnest(${orders.map(({ id }) => id)}::uuid[], ${orders.map(({ deviceId }) => deviceId)}::uuid[],
                           ${orders.map(({ accountId }) => accountId)}::uuid[],
                           ${orders.map(() => randomBytes(32).toString('base64url'))}::text[])
                      as w(delivery_id, device_id, account_id, challenge)
    ), fence as materialized (
      ${fencedAccounts(q, instanceId, q`select w.account_id from wanted w`)}
    ), begun as (
      insert into device_renewal as r (device_id, delivery_id, challenge, attempts)
      select w.device_id, w.delivery_id, w.challenge, 1
        from wanted w join fence f on f.id = w.account_id
        join delivery v on v.id = w.delivery_id and v.state = 'owed'
       order by w.device_id
      on conflict (device_id) do update
         set challenge = case when r.delivery_id = excluded.delivery_id then r.challenge else excluded.challenge end,
             attempts = r.attempts + (r.delivery_id is distinct from excluded.delivery_id)::int,
             delivery_id = excluded.delivery_id
      returning r.device_id, r.challenge
    )
    select d.id as "deviceId", d.token, d.platform, ${column(q, 'wakeChannel', 'd')} as channel, b.challenge
      from begun b join device d on d.id = b.device_id`;
}
