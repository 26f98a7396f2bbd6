/**
 * Families of devices that read Apple's profiles, and which of them takes what. Pure. Shared with platforms whose devices read
 * the same profiles: each says by a table of its own what its families know.
 */
import { compareVersions } from '../../base/dotted-version.ts';
import type { ServiceType } from '../../services/services.ts';
import type { DeviceDescription } from '../order.ts';

/** Family -> its least version that takes something; a family that is missing does not know it at all. */
export type LeastVersions = Readonly<Record<string, string>>;

export interface DeviceKind {
  readonly family: string;
  /** The version that counts: of the system, or of the device's management software. */
  readonly version: string;
}

/** What the devices of one platform read of the profiles. */
export interface ProfileReaders {
  kindOf(device: DeviceDescription): DeviceKind;
  /** Rule name -> the devices that know its key. */
  readonly rules: Readonly<Record<string, LeastVersions>>;
  readonly services: Readonly<Record<ServiceType, LeastVersions>>;
  takesServiceBooks(device: DeviceDescription): boolean;
}

/** True where the device is of a family in `least` and of at least the version named there. */
export function meetsLeast(least: LeastVersions | undefined, { family, version }: DeviceKind): boolean {
  const needed = least !== undefined && Object.hasOwn(least, family) ? least[family] : undefined;
  return needed !== undefined && compareVersions(version, needed) >= 0;
}

/** By ProductName, such as `iPhone15,2` or `MacBookPro18,3`. */
export function appleKind(device: DeviceDescription): DeviceKind {
  const isComputer = /^(i?Mac|Xserve|VirtualMac)/.test(device.product ?? '');
  return { family: isComputer ? 'macos' : 'ios', version: device.osVersion ?? '0' };
}
