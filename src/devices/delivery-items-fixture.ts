/** For tests: the rule of delivery-items.ts once more, without SQL. */
import { compareVersions } from '../base/dotted-version.ts';
import type { DeviceDescription } from '../platforms/order.ts';
import type { Platforms } from '../platforms/port.ts';
import { accountItems } from './delivery-items.ts';

export function itemsOwedTo(
  platforms: Platforms,
  { platform, softwareVersion }: Pick<DeviceDescription, 'platform' | 'softwareVersion'>,
): typeof accountItems {
  const minSoftware = platforms.named(platform)?.minSoftware ?? null;
  const takesAll = minSoftware === null || compareVersions(softwareVersion ?? '0', minSoftware) >= 0;
  return takesAll ? accountItems : ['it-policy'];
}
