/**
 * The result of compiling policies, service books and requests: an order, which becomes a command once it has an
 * identifier.
 */
import type { RuleValues } from '../policies/rules.ts';
import type { StoredService } from '../services/service-store.ts';

/** The core's facts about a device, for compiling. */
export interface DeviceDescription {
  /** Name of its platform. */
  readonly platform: string;
  /** Product and system version as the device names them. */
  readonly product: string | null;
  readonly osVersion: string | null;
  /** Of devices with management software separate from the system. */
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
  /** SHA-256 of the content, 16 hex digits, to recognise equal content. */
  readonly revision: string;
  readonly skipped: readonly SkippedPart[];
  /** The complete message to the device; its answer refers to the command by this identifier. */
  write(commandId: string): Uint8Array;
}

interface DomainFacts {
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
    /** `https://<tunnel host>:<port>`: where tunnels to the connection service are opened. */
    readonly tunnelUrl: string;
  };
  readonly account: { readonly name: string; readonly displayName: string };
  /** Of the account's instance. */
  readonly srpIdentifier: string;
  readonly services: readonly StoredService[];
  readonly device: DeviceDescription;
  readonly release: string;
}

/** Pure. A part that a device does not support is left out and reported; it never blocks the rest. */
export interface Compiler {
  /** Devices of the same variant get the same order from the same rules. */
  variantOf(device: DeviceDescription): string;
  /** Family of devices -> the minimum version that supports the rule; empty if none does. */
  minVersions(rule: string): Readonly<Record<string, string>>;
  policy(facts: PolicyFacts): Order;
  /** Undefined for a device that does not support any. */
  serviceBooks(facts: ServiceBookFacts): Order | undefined;
  /** Asks the device for its inventory and options. */
  synchronization(): Order;
}
