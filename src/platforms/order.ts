/** What a platform compiles policies, service books and requests to: an order that becomes a command with its identifier. */
import type { RuleValues } from '../policies/rules.ts';
import type { StoredService } from '../services/service-store.ts';

/** What the core knows of a device when something is compiled for it. */
export interface DeviceDescription {
  /** Name of its platform. */
  readonly platform: string;
  /** Product and system version as the device names them. */
  readonly product: string | null;
  readonly osVersion: string | null;
  /** Of devices that have management software of their own beside the system. */
  readonly softwareVersion: string | null;
}

/** What was left out, and why: one item, never the whole. */
export interface SkippedPart {
  /** Rule name or service type. */
  readonly name: string;
  readonly reason: 'unknown' | 'invalid' | 'not-for-device';
  readonly message: string;
}

export interface Order {
  /** The kind of command, in the platform's words: stored as `command.request_type`. */
  readonly requestType: string;
  /** SHA-256 of what the device is to have, 16 hex digits: equal content is recognised by it. */
  readonly revision: string;
  readonly skipped: readonly SkippedPart[];
  /** The whole message as the device gets it; its answer names the command by this identifier. */
  write(commandId: string): Uint8Array;
}

export interface DomainFacts {
  readonly domainId: string;
  readonly name: string;
}

export interface PolicyFacts {
  readonly domain: DomainFacts;
  /** Merged rules of the account. */
  readonly rules: RuleValues;
  readonly device: DeviceDescription;
  /** The release that compiles. */
  readonly release: string;
}

export interface ServiceBookFacts {
  readonly domain: DomainFacts & {
    /** `https://<tunnel host>:<port>`: where the connection service's tunnels are opened. */
    readonly tunnelUrl: string;
  };
  readonly account: { readonly name: string; readonly displayName: string };
  /** Of the account's instance. */
  readonly srpIdentifier: string;
  readonly services: readonly StoredService[];
  readonly device: DeviceDescription;
  readonly release: string;
}

/** Pure. A part that a device cannot take is left out and reported; it never keeps the rest from the device. */
export interface Compiler {
  /** Devices of the same variant get the same order from the same rules. */
  variantOf(device: DeviceDescription): string;
  /** Family of devices -> its least version that takes the rule; empty where none does. */
  leastVersions(rule: string): Readonly<Record<string, string>>;
  policy(facts: PolicyFacts): Order;
  /** Undefined for a device that takes none. */
  serviceBooks(facts: ServiceBookFacts): Order | undefined;
  /** Asks the device for its inventory and options. */
  synchronization(): Order;
}
