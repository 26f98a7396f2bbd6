/**
 * Waking devices, so that they connect. Invariant: a wake proves nothing, and nothing waits for it: a failure only
 * causes delay.
 */
import type * as z from 'zod';
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
  /** What an administrator sets for it; undefined for a service that needs nothing. */
  readonly settings?: WakeSettingsRules;
}

/** Where the service is, and the certificate that lets the domain wake its devices. */
export interface WakeSettings {
  url: string;
  /** Trusted instead of the machine's authorities, for a relay or a simulator. */
  caPem?: string | undefined;
  certificatePem?: string | undefined;
  privateKeyPem?: string | undefined;
}

/** In the database: the private key is sealed, its ciphertext in base64. */
export interface StoredWakeSettings extends Omit<WakeSettings, 'privateKeyPem'> {
  privateKey?: { ciphertext: string; keyId: string } | undefined;
}

export interface WakeSettingsRules {
  /** Of the setting. */
  readonly key: string;
  /** The context that the private key is sealed for. */
  readonly keyPlace: string;
  /** Refuses unknown fields. */
  readonly given: z.ZodType<WakeSettings>;
  readonly stored: z.ZodType<StoredWakeSettings>;
  /** Throws as `open` does if the key cannot be opened. */
  unseal(stored: StoredWakeSettings, open: (place: string, ciphertext: Buffer, keyId: string) => Buffer): WakeSettings;
  /** The channel that a new certificate determines. @throws BrambleError ERR_PUSH_CERTIFICATE if it cannot be used */
  inspect(settings: WakeSettings, now: Date): { channel: string; expiresAt: Date };
  /** Of a stored certificate, whether or not it is still valid; null if it cannot be read. */
  facts(certificatePem: string): { issuer: string; selfSigned: boolean; expiresAt: Date } | null;
}
