/**
 * Waking devices, so that they connect. Invariant: a wake proves nothing, and nothing waits for it: a failure only
 * causes delay.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../process/log/logger.ts';

/** The wake address that a device announced. */
export interface WakeAddress {
  readonly token: Uint8Array;
  /** Shows the device that its own server is waking it. */
  readonly secret: string;
  /** The domain's identifier at the platform's wake service; constant for the lifetime of the enrolment. */
  readonly channel: string;
}

export type WakeOutcome =
  | { readonly outcome: 'sent' }
  /** The address is dead: wait until the device announces another. */
  | { readonly outcome: 'address-gone'; readonly reason: string }
  | { readonly outcome: 'later'; readonly reason: string }
  /** A retry is pointless until a person acts. */
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

/** What a wake service may know about the domain. */
interface WakeHost {
  readonly log: Logger;
  readonly clock: Clock;
  /** A setting as it is stored; undefined where there is none. */
  readSetting(key: string): Promise<unknown>;
  /** Opens a sealed value in a setting, with the context it was sealed for. */
  openSealed(place: string, ciphertext: Buffer, keyId: string): Buffer;
}

/** Opened once per process, even if several platforms share it. */
export interface WakeService {
  open(host: WakeHost): WakeClient;
}
