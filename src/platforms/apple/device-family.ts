/**
 * Families of devices that read Apple's profiles, and what each supports. Pure. Shared by platforms whose devices read
 * the same profiles: each has a table of what its families support.
 */
import { compareVersions } from '../../base/dotted-version.ts';
import type { ServiceType } from '../../services/services.ts';
import type { DeviceDescription } from '../order.ts';

/** Family -> the minimum version that supports something; a missing family does not support it at all. */
export type MinVersions = Readonly<Record<string, string>>;

interface DeviceKind {
  readonly family: string;
  /** The version to compare: of the system, or of the device's management software. */
  readonly version: string;
}

/** Which parts of the profiles the devices of one platform support. */
export interface ProfileReaders {
  kindOf(device: DeviceDescription): DeviceKind;
  /** Rule name -> the devices that support its key. */
  readonly rules: Readonly<Record<string, MinVersions>>;
  readonly services: Readonly<Record<ServiceType, MinVersions>>;
  takesServiceBooks(device: DeviceDescription): boolean;
}

/** True if the device is of a family in `least` and has at least the version given there. */
export function meetsLeast(least: MinVersions | undefined, { family, version }: DeviceKind): boolean {
  const needed = least !== undefined && Object.hasOwn(least, family) ? least[family] : undefined;
  return needed !== undefined && compareVersions(version, needed) >= 0;
}

/** By ProductName, such as `iPhone15,2` or `MacBookPro18,3`. */
export function appleKind(device: DeviceDescription): DeviceKind {
  const isComputer = /^(i?Mac|Xserve|VirtualMac)/.test(device.product ?? '');
  return { family: isComputer ? 'macos' : 'ios', version: device.osVersion ?? '0' };
}
