/**
 * The interface between a platform and the core. The core knows devices that enrol, are owed something, take it, and
 * answer *done*, *failed*, *later* or that they are *idle*; the wire format, and what a rule is compiled to, are up to
 * the platform.
 *
 * Invariant: a `Platform` is pure except for its wake service, and does not use the database: router and instance share
 * it. A new platform gets its own folder and a line in `registered/`.
 */
import type { Enrolment } from './enrolment.ts';
import { maxPlatformNameLength } from './enrolment-refusals.ts';
import type { WriteOperatorOrder } from './operator-order.ts';
import type { Compiler } from './order.ts';
import type { AddressRule, DeviceAddress, DeviceProtocol } from './protocol.ts';
import type { WakeService } from './waking.ts';

export interface Platform {
  /** As stored in `device.platform`. */
  readonly name: string;
  /**
   * Minimum version of the devices' management software that takes service books and synchronizes; devices with an
   * earlier one are owed only the IT policy. Null if every device takes everything.
   */
  readonly minSoftware: string | null;
  /**
   * The feature required for activating its devices: an earlier release would mistake them for one of its own
   * platforms'. Null if every release that may run beside this one knows the platform.
   */
  readonly feature: string | null;
  /** Platforms may share one. */
  readonly protocol: DeviceProtocol;
  readonly enrolment: Enrolment;
  readonly compiler: Compiler;
  readonly operatorOrder: WriteOperatorOrder;
  readonly wakeService: WakeService;
}

export interface Platforms {
  readonly all: readonly Platform[];
  /** Undefined for a name that this release does not have. */
  named(name: string): Platform | undefined;
  /** For any request. @param url path and query, as in the request line or `:path` */
  addressOf(url: string): DeviceAddress;
}

const nothing: AddressRule = { kind: 'other', purpose: 'none', maxBytes: 0, protocol: null };
const nowhere: DeviceAddress = { rule: nothing, token: '' };

/** What `device.platform` accepts, with {@link maxPlatformNameLength}. */
const platformName = /^[a-z][a-z0-9-]*$/;

const isPlatformName = (name: string) => platformName.test(name) && name.length <= maxPlatformNameLength;

/** @throws TypeError for a name that cannot be stored, or that two of them have */
export function createPlatforms(all: readonly Platform[]): Platforms {
  const byName = new Map(all.map((platform) => [platform.name, platform]));
  const odd = all.find((platform) => !isPlatformName(platform.name) || byName.get(platform.name) !== platform);
  if (odd !== undefined) throw new TypeError(`a platform named ${JSON.stringify(odd.name)}, or two of that name`);
  const protocols = [...new Set(all.map(({ protocol }) => protocol))];
  return {
    all,
    named: (name) => byName.get(name),
    addressOf: (url) => {
      // Control paths of the link belong to no protocol, whatever it claims.
      if (url.startsWith('/.')) return nowhere;
      for (const protocol of protocols) {
        const address = addressIn(protocol, url);
        if (address !== undefined) return address;
      }
      return nowhere;
    },
  };
}

/** A protocol that cannot read an address does not own it: a stranger's URL must not end what all devices share. */
function addressIn(protocol: DeviceProtocol, url: string): DeviceAddress | undefined {
  try {
    return protocol.addressOf(url);
  } catch {
    return undefined;
  }
}
