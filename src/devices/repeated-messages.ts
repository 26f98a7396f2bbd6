/**
 * Signed messages that arrived without a TLS identity and were repeated byte for byte. They cannot be refused: many
 * clients send no signing time, RSA signatures repeat, and a device resends what got no answer. But they can be
 * counted: one or two come from lost answers, many deserve a look.
 *
 * Messages that bring nothing are not counted: without a signing time all are identical. A short digest is kept of the signed content
 * (bytes outside the signature do not make a new message), for the newest `maxKept` messages of each enrolment.
 */

import { fencedAccounts } from '../accounts/account-fence.ts';
import type { DeviceId, InstanceId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';

export const maxKept = 16;

interface SignedMessages {
  deviceId: DeviceId;
  /** Distinct ones, oldest first. */
  digests: Buffer[];
  /** Number of repetitions among them. */
  repeats: number;
}

/** Adds messages of the instance's devices, one entry for each device. Fenced; accounts FOR SHARE SKIP LOCKED. */
export async function storeSignedMessages(
  q: Queryable,
  instanceId: InstanceId,
  messages: readonly SignedMessages[],
): Promise<void> {
  const flat = messages.flatMap(({ deviceId, digests }) =>
    digests.map((digest) => ({ deviceId, digest: digest.toString('hex') })),
  );
  await q`
    with message as materialized (
      select device_id, array_agg(decode(digest, 'hex') order by n) as digests
        from unnest(${flat.map((m) => m.deviceId)}::uuid[], ${flat.map((m) => m.digest)}::text[])
             with ordinality as m(device_id, digest, n)
       group by device_id
    ), counted as materialized (
      select device_id, repeats from unnest(${messages.map((m) => m.deviceId)}::uuid[], ${messages.map((m) => m.repeats)}::int[])
             as c(device_id, repeats)
    ), fence as materialized (
      ${fencedAccounts(q, instanceId, q`select d.account_id from device d join message m on m.device_id = d.id`)}
    )
    insert into device_repeat as r (device_id, digests, repeats, repeated_at)
    select m.device_id, m.digests, c.repeats, case when c.repeats > 0 then clock_timestamp() end
      from message m join counted c on c.device_id = m.device_id
      join device d on d.id = m.device_id join fence f on f.id = d.account_id
     order by m.device_id
    on conflict (device_id) do update
       set repeats = r.repeats + excluded.repeats
                     + (select count(*) from unnest(excluded.digests) x where x = any(r.digests)),
           repeated_at = case when excluded.repeats > 0 or excluded.digests && r.digests then clock_timestamp()
                              else r.repeated_at end,
           digests = array(
             select digest from (
               select digest, max(n) as n from unnest(r.digests || excluded.digests) with ordinality as k(digest, n)
                group by digest order by max(n) desc limit ${maxKept}) newest
              order by n)`;
}
