/**
 * Activation, independent of the transport: account name and password in, enrolment out. Protects: a refusal reveals
 * neither whether the account exists nor the reason; only the log has it.
 */

import { accountNameOf } from '../base/account-name.ts';
import { addressGroup } from '../base/address-group.ts';
import { isBrambleError } from '../base/errors.ts';
import type { DeviceId, InstanceId } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import type { InstanceAuthorities } from '../domain/authorities.ts';
import type { EnrolmentFacts } from '../platforms/enrolment.ts';
import type { Platforms } from '../platforms/port.ts';
import type { EnrolmentRequest } from '../platforms/protocol.ts';
import { offerDevice } from './device-offer.ts';
import type { FenceMiss } from './fence-miss.ts';
import { createPasswordChecks, type PasswordChecks } from './password-checks.ts';

type ActivationOutcome =
  | {
      readonly kind: 'offer';
      readonly contentType: string;
      readonly body: Buffer;
      readonly deviceId: DeviceId;
      /** The same offer as before: the download was repeated. */
      readonly repeated: boolean;
    }
  /** `reason` is for the log; the answer is always `activationRefusal`. */
  | { readonly kind: 'refused'; readonly reason: 'wrong' | 'selector' | 'expired' | 'exhausted' | 'none' }
  /** Too many at once: 503. */
  | { readonly kind: 'busy' }
  /** No device of this platform can be activated yet: the domain is being upgraded. */
  | { readonly kind: 'platform-locked' }
  /** This release does not have this platform. */
  | { readonly kind: 'no-platform' }
  | FenceMiss;

export interface Activation {
  readonly passwords: Pick<PasswordChecks, 'comparisons' | 'waiting'>;
  /** @param remoteAddress of the device, if known. */
  activate(request: EnrolmentRequest, remoteAddress?: string): Promise<ActivationOutcome>;
}

/** Activations at one instance. */
export function createActivation(options: {
  readonly db: Database;
  readonly instanceId: InstanceId;
  readonly platforms: Platforms;
  /** Whether every component that may serve the device supports this. */
  readonly isFeatureActive: (feature: string) => Promise<boolean>;
  /** The current one: its wake channel may be replaced while the instance runs. */
  readonly domain: () => Promise<EnrolmentFacts['domain']>;
  /** The current ones: the profile signer is renewed. */
  readonly authorities: () => Promise<Omit<InstanceAuthorities, 'registration'>>;
}): Activation {
  const { db, instanceId, platforms, domain, authorities } = options;
  const passwords = createPasswordChecks({ db, instanceId });

  async function activate(request: EnrolmentRequest, remoteAddress = ''): Promise<ActivationOutcome> {
    const platform = platforms.named(request.platform);
    if (platform === undefined) return { kind: 'no-platform' };
    const { feature, enrolment } = platform;
    const accountName = storedName(request.accountName);
    // An invalid name is treated as an unknown one.
    if (accountName === undefined) return { kind: 'refused', reason: 'none' };
    const check = await passwords.check({ accountName, password: request.password }, addressGroup(remoteAddress));
    switch (check.kind) {
      case 'wrong':
      case 'selector':
      case 'expired':
      case 'exhausted':
      case 'none':
        return { kind: 'refused', reason: check.kind };
      case 'not-owner':
      case 'moving':
      case 'busy':
        return check;
      case 'accepted':
        break;
    }
    // Not before: it would reveal that the account exists.
    if (feature !== null && !(await options.isFeatureActive(feature))) return { kind: 'platform-locked' };
    const { accountId } = check;
    const outcome = await offerDevice(db, { accountId, instanceId, platform: platform.name });
    if (outcome.kind !== 'done') return outcome;
    if (outcome.value.kind === 'used-up') return { kind: 'refused', reason: 'none' };
    const device = outcome.value.offer;
    const facts = { domain: await domain(), authorities: await authorities(), device, accountName };
    return {
      kind: 'offer',
      ...enrolment.offer(facts, request.signed),
      deviceId: device.deviceId,
      repeated: outcome.value.repeated,
    };
  }

  return { passwords, activate };
}

function storedName(typed: string): string | undefined {
  try {
    return accountNameOf(typed);
  } catch (error) {
    if (isBrambleError(error, 'ERR_ACCOUNT_NAME')) return undefined;
    throw error;
  }
}
