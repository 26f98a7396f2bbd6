/** For tests: the rule of delivery-items.ts once more, without SQL. */
import { compareVersions } from '../base/dotted-version.ts';
import type { DeviceDescription } from '../platforms/order.ts';
import type { Platforms } from '../platforms/port.ts';
import { accountItems } from './delivery-items.ts';

export function itemsOwedTo(
  platforms: Platforms,
  { platform, softwareVersion }: Pick<DeviceDescription, 'platform' | 'softwareVersion'>,
): typeof accountItems {
  const leastSoftware = platforms.named(platform)?.leastSoftware ?? null;
  const takesAll = leastSoftware === null || compareVersions(softwareVersion ?? '0', leastSoftware) >= 0;
  return takesAll ? accountItems : ['it-policy'];
}
