/**
 * Which items a device can take. If a platform names a minimum device software, devices below it get only the IT policy; others get all three, and compilation decides which
 * parts they can take. Identity renewal applies to every device.
 */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import type { Platforms } from '../platforms/port.ts';

/** Items that a device is owed through its account: after a move, an activation, a change. */
type AccountItem = 'it-policy' | 'service-books' | 'synchronization';

/** And the one owed to the device itself: the renewal of its identity. */
export type DeliveryItem = AccountItem | 'device-identity';

/** In the order in which a device receives them. */
export const accountItems: readonly AccountItem[] = ['it-policy', 'service-books', 'synchronization'];
export const deliveryItems: readonly DeliveryItem[] = [...accountItems, 'device-identity'];

/** For `d` of device: whether it takes more than the IT policy. Versions compare as arrays of numbers. */
export function acceptsAllItems(q: Queryable, platforms: Platforms): SqlFragment {
  const limited = platforms.all.flatMap(({ name, minSoftware }) =>
    minSoftware === null ? [] : [{ name, minSoftware }],
  );
  return q`coalesce(
    string_to_array(coalesce(substring(btrim(d.software_version) from '^[0-9]+(?:[.][0-9]+)*'), '0') || '.0', '.')::numeric[]
      >= (select string_to_array(l.least, '.')::numeric[]
            from unnest(${limited.map(({ name }) => name)}::text[],
                        ${limited.map(({ minSoftware }) => minSoftware)}::text[]) as l(platform, least)
           where l.platform = d.platform), true)`;
}
