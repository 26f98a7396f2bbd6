/** Messages of devices, independent of the protocol: the result of a command, or an announcement. */
import type { WakeAddress } from './waking.ts';

/** A device that connects for commands. */
export type CommandReport = {
  /** The device's name for itself; null if it gives none that can be read. */
  readonly deviceName: string | null;
  /** On a user's channel, which gets no commands. */
  readonly onUserChannel: boolean;
} & ({ readonly status: 'idle' } | CommandAnswer);

export interface CommandAnswer {
  /** `later`: not now, the device will fetch it again. */
  readonly status: 'done' | 'failed' | 'later';
  /** As the device names the command; one of ours is a UUID. */
  readonly commandId: string;
  /** The whole answer: JSON, except for bytes, dates and big integers. The code that stores it bounds it. */
  readonly answer: Readonly<Record<string, unknown>>;
  /** Members to keep of an answer that is too large; of a list, the first items. */
  readonly essentials: readonly string[];
  /** Stored if nothing else of it can be. */
  readonly bareAnswer: Readonly<Record<string, unknown>>;
  /** The device's inventory, if the command was an `inventoryRequest`; and the device options in it. */
  readonly inventory: Readonly<Record<string, unknown>> | null;
  /** `command.request_type` of the commands that ask for it. */
  readonly inventoryRequest: string;
  readonly optionNames: ReadonlySet<string>;
}

/** Identifiers of a device: of its hardware, or, if that is private, of its enrolment. One of them is present. */
export interface DeviceNames {
  readonly hardwareId: string | null;
  readonly enrolmentId: string | null;
}

/** The device's description of itself at the start of an enrolment. */
export interface DeviceFacts {
  readonly serialNumber: string | null;
  readonly model: string | null;
  readonly product: string | null;
  readonly osVersion: string | null;
  readonly softwareVersion: string | null;
}

/** Null channel: the platform's wake service has none for the domain. */
export type ToldWakeAddress = Omit<WakeAddress, 'channel'> & { readonly channel: string | null };

/** A user's own channel beside the device's. */
export interface DeviceUser {
  readonly id: string;
  /** An earlier id of this user that was shared with others. */
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
  /** A secret that the device escrows; null withdraws it. */
  | { readonly kind: 'keeps-secret'; readonly secret: Uint8Array | null }
  | { readonly kind: 'fetches-secret' }
  /** Not supported by this release; the status tells the device so. */
  | { readonly kind: 'not-served'; readonly status: 400 | 404 | 410; readonly reason: string }
);

/** The identifier of an enrolment. */
export function nameOf({ hardwareId, enrolmentId }: DeviceNames): string {
  return hardwareId ?? enrolmentId ?? '';
}
