/** What devices say, whatever their protocol: how a command went, or something of themselves. */
import type { WakeAddress } from './waking.ts';

/** A device that comes for commands. */
export type CommandReport = {
  /** What the device calls itself; null where it says nothing that can be read. */
  readonly deviceName: string | null;
  /** For one user of the device, who is given no commands. */
  readonly onUserChannel: boolean;
} & ({ readonly status: 'idle' } | CommandAnswer);

export interface CommandAnswer {
  /** `later`: not now, the device comes again for it. */
  readonly status: 'done' | 'failed' | 'later';
  /** As the device names the command; one of ours is a UUID. */
  readonly commandId: string;
  /** The whole answer: JSON, but for bytes, dates and big integers. It is bounded by whoever stores it. */
  readonly answer: Readonly<Record<string, unknown>>;
  /** Names in it that are kept of an answer that is too large; of a list, the first items. */
  readonly essentials: readonly string[];
  /** What is kept where nothing else of it can be stored. */
  readonly bareAnswer: Readonly<Record<string, unknown>>;
  /** What the device says of itself, if the command was an `inventoryRequest`; of that, its own options. */
  readonly inventory: Readonly<Record<string, unknown>> | null;
  /** `command.request_type` of the commands that ask for it. */
  readonly inventoryRequest: string;
  readonly optionNames: ReadonlySet<string>;
}

/** Names by which a device tells itself apart: of its hardware, or, where that is private, of its enrolment. One is there. */
export interface DeviceNames {
  readonly hardwareId: string | null;
  readonly enrolmentId: string | null;
}

/** What a device says of itself when an enrolment begins. */
export interface DeviceFacts {
  readonly serialNumber: string | null;
  readonly model: string | null;
  readonly product: string | null;
  readonly osVersion: string | null;
  readonly softwareVersion: string | null;
}

/** Null channel: the platform's wake service knows the domain by none. */
export type ToldWakeAddress = Omit<WakeAddress, 'channel'> & { readonly channel: string | null };

/** A user's own channel beside the device's. */
export interface DeviceUser {
  readonly id: string;
  /** An id that stood for this user before, and for others too. */
  readonly formerId: string | null;
}

export type Announcement = { readonly names: DeviceNames } & (
  | { readonly kind: 'enrols'; readonly channel: string | null; readonly facts: DeviceFacts }
  /** The first one makes the enrolment active. `unlockSecret`: opens the device when its user cannot. */
  | {
      readonly kind: 'wake-address';
      readonly user: DeviceUser | null;
      readonly address: ToldWakeAddress;
      readonly unlockSecret: Uint8Array | null;
    }
  | { readonly kind: 'leaves'; readonly user: DeviceUser | null }
  /** A secret that the device leaves in keeping; null takes it back. */
  | { readonly kind: 'keeps-secret'; readonly secret: Uint8Array | null }
  | { readonly kind: 'fetches-secret' }
  /** What this release does not serve; the status tells the device so. */
  | { readonly kind: 'not-served'; readonly status: 400 | 404 | 410; readonly reason: string }
);

/** What an enrolment is told apart by. */
export function nameOf({ hardwareId, enrolmentId }: DeviceNames): string {
  return hardwareId ?? enrolmentId ?? '';
}
