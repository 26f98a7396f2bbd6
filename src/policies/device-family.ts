/**
 * What kind of device a policy or a service book is compiled for, and how versions compare. Pure.
 * Invariant: a version that is missing or unreadable counts as the lowest one, so that nothing is sent that a device might
 * not understand.
 */

/** Apple's phones and tablets, Apple's computers, and devices with Bramble's own agent. */
export type DeviceFamily = 'ios' | 'macos' | 'agent';

export interface DeviceDescription {
  readonly platform: 'apple' | 'agent';
  /** Apple's ProductName, such as `iPhone15,2` or `MacBookPro18,3`. */
  readonly product: string | null;
  readonly osVersion: string | null;
  /** Device software of agent devices. */
  readonly softwareVersion: string | null;
}

/** The family and the version that counts for it: the system's for Apple, the device software's for agents. */
export function familyOf(device: DeviceDescription): { readonly family: DeviceFamily; readonly version: string } {
  if (device.platform === 'agent') return { family: 'agent', version: device.softwareVersion ?? '0' };
  const isComputer = /^(i?Mac|Xserve|VirtualMac)/.test(device.product ?? '');
  return { family: isComputer ? 'macos' : 'ios', version: device.osVersion ?? '0' };
}

/** Negative, zero or positive, by numbers between dots; `4` equals `4.0`; what follows a non-digit is left out. */
export function compareVersions(a: string, b: string): number {
  const left = numbersOf(a);
  const right = numbersOf(b);
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** True where the device is of a family in `least` and of at least the version named there. */
export function meetsLeast(
  least: Readonly<Partial<Record<DeviceFamily, string>>>,
  family: DeviceFamily,
  version: string,
): boolean {
  const needed = least[family];
  return needed !== undefined && compareVersions(version, needed) >= 0;
}

function numbersOf(version: string): number[] {
  const leading = /^\d+(\.\d+)*/.exec(version.trim())?.[0] ?? '0';
  return leading.split('.').map((part) => Math.min(Number(part), Number.MAX_SAFE_INTEGER));
}
