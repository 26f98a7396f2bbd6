/**
 * Which items a device can take: the rule that stands in SQL in `deliveries/owe-deliveries.ts` too, and is tested to be the same.
 * *Device software 4.0 or later* is meant literally for devices with Bramble's own agent; for Apple platforms each payload's
 * own least version counts, so they are owed all three. The renewal of its identity concerns every device.
 */
import { compareVersions, type DeviceDescription } from '../policies/device-family.ts';

/** What a device is owed because of its account: after a move, an activation, a change. */
export type AccountItem = 'it-policy' | 'service-books' | 'synchronization';

/** And what it is owed for its own sake: the renewal of its identity. */
export type DeliveryItem = AccountItem | 'device-identity';

/** In the order in which a device receives them. */
export const accountItems: readonly AccountItem[] = ['it-policy', 'service-books', 'synchronization'];
export const deliveryItems: readonly DeliveryItem[] = [...accountItems, 'device-identity'];

/** Least agent software that takes service books and synchronizes. */
export const leastAgentSoftware = '4.0';

export function itemsOwedTo(device: Pick<DeviceDescription, 'platform' | 'softwareVersion'>): readonly AccountItem[] {
  if (device.platform === 'apple') return accountItems;
  return compareVersions(device.softwareVersion ?? '0', leastAgentSoftware) >= 0 ? accountItems : ['it-policy'];
}
