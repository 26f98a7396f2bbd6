/**
 * The orders that make devices renew their identity: their whole enrolment unchanged, with a new challenge.
 *
 * Protects: the device keeps its path token and wake channel, since it may refuse an update that changes them. Each
 * delivery has one challenge, however often it is prepared; the one of an earlier delivery ends with it.
 */
import { randomBytes } from 'node:crypto';
import { fencedAccounts } from '../accounts/account-fence.ts';
import type { Queryable } from '../database/connection.ts';
import type { InstanceAuthorities } from '../domain/authorities.ts';
import type { EnrolmentFacts, OfferedDevice } from '../platforms/enrolment.ts';
import type { Order } from '../platforms/order.ts';
import type { Platforms } from '../platforms/port.ts';

/** An owed delivery of a new identity. */
export interface WantedRenewal {
  readonly id: string;
  readonly deviceId: string;
  readonly accountId: string;
  readonly accountName: string;
}

interface Try extends OfferedDevice {
  platform: string;
  topic: string | null;
}

/** By device, created on demand; no entry for a device that belongs to another instance by now, or is being moved. */
export type RenewalOrders = (
  q: Queryable,
  wanted: readonly WantedRenewal[],
) => Promise<ReadonlyMap<string, () => Order>>;

export function createRenewalOrders(parts: {
  readonly instanceId: string;
  readonly platforms: Platforms;
  readonly domain: () => Promise<EnrolmentFacts['domain']>;
  readonly authorities: () => Promise<InstanceAuthorities>;
}): RenewalOrders {
  return async (q, orders) => {
    if (orders.length === 0) return new Map();
    const names = new Map(orders.map((order) => [order.deviceId, order.accountName]));
    // Comes first: any failure from here on counts as a failed attempt, and the next one waits.
    const tries = await beginTries(q, parts.instanceId, orders);
    const [domain, authorities] = await Promise.all([parts.domain(), parts.authorities()]);
    return new Map(
      tries.map(({ topic, platform, ...device }): [string, () => Order] => [
        device.deviceId,
        () => {
          const { enrolment } = parts.platforms.named(platform) ?? {};
          if (enrolment === undefined) throw new TypeError(`this release knows no platform "${platform}"`);
          const accountName = names.get(device.deviceId) ?? '';
          const facts = {
            domain: { ...domain, pushTopic: topic ?? domain.pushTopic },
            authorities,
            device,
            accountName,
          };
          return enrolment.renewal(facts);
        },
      ]),
    );
  };
}

/** Idempotent for each delivery. Fenced; by device_pkey, delivery_pkey and device_renewal_pkey. */
async function beginTries(q: Queryable, instanceId: string, orders: readonly WantedRenewal[]): Promise<Try[]> {
  return await q<Try[]>`
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
    select d.id as "deviceId", d.token, d.platform, d.topic, b.challenge
      from begun b join device d on d.id = b.device_id`;
}
