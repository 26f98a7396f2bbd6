/**
 * The orders that make devices renew their identity: their whole enrolment unchanged, with a new challenge.
 *
 * Protects: the device keeps its path token and wake channel, since it may refuse an update that changes them. Each
 * delivery has one challenge, however often it is prepared; the one of an earlier delivery ends with it.
 */
import type { Queryable } from '../database/connection.ts';
import { beginRenewals } from '../devices/renewal-attempts.ts';
import type { InstanceAuthorities } from '../domain/authorities.ts';
import type { EnrolmentFacts } from '../platforms/enrolment.ts';
import type { Order } from '../platforms/order.ts';
import type { Platforms } from '../platforms/port.ts';

/** An owed delivery of a new identity. */
interface WantedRenewal {
  readonly id: string;
  readonly deviceId: string;
  readonly accountId: string;
  readonly accountName: string;
}

/**
 * The orders come by device, created on demand; no entry for a device that belongs to another instance by now, or is
 * being moved.
 */
export function createRenewalOrders(parts: {
  readonly instanceId: string;
  readonly platforms: Platforms;
  readonly domain: () => Promise<EnrolmentFacts['domain']>;
  readonly authorities: () => Promise<InstanceAuthorities>;
}): (q: Queryable, wanted: readonly WantedRenewal[]) => Promise<ReadonlyMap<string, () => Order>> {
  return async (q, orders) => {
    if (orders.length === 0) return new Map();
    const names = new Map(orders.map((order) => [order.deviceId, order.accountName]));
    // Comes first: any failure from here on counts as a failed attempt, and the next one waits.
    const tries = await beginRenewals(q, parts.instanceId, orders);
    const [domain, authorities] = await Promise.all([parts.domain(), parts.authorities()]);
    return new Map(
      tries.map(({ channel, platform, ...device }): [string, () => Order] => [
        device.deviceId,
        () => {
          const { enrolment } = parts.platforms.named(platform) ?? {};
          if (enrolment === undefined) throw new TypeError(`this release knows no platform "${platform}"`);
          const accountName = names.get(device.deviceId) ?? '';
          const facts = {
            domain: { ...domain, wakeChannel: channel ?? domain.wakeChannel },
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
