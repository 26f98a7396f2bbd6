/**
 * Waking devices, so that they come for what waits.
 * Invariant: a wake is proof of nothing, and nothing waits for it: whatever goes wrong costs delay.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../process/log/logger.ts';

/** What a device told of how it is woken. */
export interface WakeAddress {
  readonly token: Uint8Array;
  /** Shows the device that it is its own server that wakes it. */
  readonly secret: string;
  /** What the domain is known by at the platform's wake service; it stays the same for as long as the enrolment lasts. */
  readonly channel: string;
}

export type WakeOutcome =
  | { readonly outcome: 'sent' }
  /** Nobody is there any more: wait until the device tells another address. */
  | { readonly outcome: 'address-gone'; readonly reason: string }
  | { readonly outcome: 'later'; readonly reason: string }
  /** Trying again changes nothing until a person acts. */
  | { readonly outcome: 'rejected'; readonly reason: string };

export interface WakeClient {
  /** Never rejects. */
  wake(address: WakeAddress, signal?: AbortSignal): Promise<WakeOutcome>;
  /** Milliseconds until wakes make sense again; 0 when they do now. */
  pausedForMs(): number;
  /** Settings of the domain may have changed. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

/** What a wake service may know of the domain. */
export interface WakeHost {
  readonly log: Logger;
  readonly clock: Clock;
  /** A setting as it is stored; undefined where there is none. */
  readSetting(key: string): Promise<unknown>;
  /** Opens what lies sealed in a setting, under the place it was sealed for. */
  openSealed(place: string, ciphertext: Buffer, keyId: string): Buffer;
}

/** Opened once in a process, also where several platforms share it. */
export interface WakeService {
  open(host: WakeHost): WakeClient;
}
