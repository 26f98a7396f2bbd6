/**
 * What a platform gives the core. The core knows devices that enrol, are owed something, take it, and answer *done*, *failed*,
 * *later* or that they are *idle*; what that looks like on the wire, and what a rule becomes there, is the platform's.
 *
 * Invariant: a platform is pure but for its wake service, and knows no database: router and instance use the same one.
 * A platform that is added has a folder of its own and a line in `registered/`.
 */
import type { Enrolment } from './enrolment.ts';
import type { Compiler } from './order.ts';
import type { AddressRule, DeviceAddress, DeviceProtocol } from './protocol.ts';
import type { WakeService } from './waking.ts';

export interface Platform {
  /** As stored in `device.platform`. */
  readonly name: string;
  /**
   * Least version of the devices' management software that takes service books and synchronizes; devices with an earlier one
   * are owed the IT policy alone. Null where every device takes everything.
   */
  readonly leastSoftware: string | null;
  /**
   * The feature without which no device of it is activated: an earlier release would take it for one of its own. Null where
   * every release that may be beside this one knows the platform.
   */
  readonly feature: string | null;
  /** Platforms may share one. */
  readonly protocol: DeviceProtocol;
  readonly enrolment: Enrolment;
  readonly compiler: Compiler;
  readonly wakeService: WakeService;
}

export interface Platforms {
  readonly all: readonly Platform[];
  /** Undefined for the name of one that this release does not have. */
  named(name: string): Platform | undefined;
  /** Whatever is asked for. @param url path and query, as in the request line or `:path` */
  addressOf(url: string): DeviceAddress;
}

const nothing: AddressRule = { kind: 'other', purpose: 'none', maxBytes: 0, protocol: null };
const nowhere: DeviceAddress = { rule: nothing, token: '' };

export function createPlatforms(all: readonly Platform[]): Platforms {
  const byName = new Map(all.map((platform) => [platform.name, platform]));
  const protocols = [...new Set(all.map(({ protocol }) => protocol))];
  return {
    all,
    named: (name) => byName.get(name),
    addressOf: (url) => {
      // Control paths of the link are nobody's, whatever a protocol takes for its own.
      if (url.startsWith('/.')) return nowhere;
      for (const protocol of protocols) {
        const address = protocol.addressOf(url);
        if (address !== undefined) return address;
      }
      return nowhere;
    },
  };
}
