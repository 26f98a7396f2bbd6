/**
 * Which items a device can take: the rule that stands in SQL in `delivery/owe-deliveries.ts` too, and is tested to be the same.
 * *Device software 4.0 or later* is meant literally for devices with Bramble's own agent; for Apple platforms each payload's
 * own least version counts, so they are owed all three.
 */
import { compareVersions, type DeviceDescription } from './device-family.ts';

export type DeliveryItem = 'it-policy' | 'service-books' | 'synchronization';

/** In the order in which a device receives them. */
export const deliveryItems: readonly DeliveryItem[] = ['it-policy', 'service-books', 'synchronization'];

/** Least agent software that takes service books and synchronizes. */
export const leastAgentSoftware = '4.0';

export function itemsOwedTo(device: Pick<DeviceDescription, 'platform' | 'softwareVersion'>): readonly DeliveryItem[] {
  if (device.platform === 'apple') return deliveryItems;
  return compareVersions(device.softwareVersion ?? '0', leastAgentSoftware) >= 0 ? deliveryItems : ['it-policy'];
}
