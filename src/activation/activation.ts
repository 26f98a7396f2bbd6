/**
 * An activation, free of its transport: account name and password in, enrolment profile out.
 * Protects: who is refused learns neither whether the account exists nor why; only the log does.
 */

import { accountNameOf } from '../base/account-name.ts';
import { isBrambleError } from '../base/errors.ts';
import type { DeviceId, InstanceId } from '../base/ids.ts';
import type { Database } from '../database/connection.ts';
import type { InstanceAuthorities } from '../domain/authorities.ts';
import { checkActivationPassword } from './activation-password.ts';
import { type DevicePlatform, offerDevice } from './device-offer.ts';
import {
  type EnrollmentDomain,
  enrollmentContentType,
  enrollmentProfile,
  signedEnrollmentProfile,
} from './enrollment.ts';
import type { FenceMiss } from './fence-miss.ts';

export interface ActivationRequest {
  /** As it was typed. */
  readonly accountName: string;
  readonly password: string;
  readonly platform: DevicePlatform;
  /** Whether the profile comes signed. */
  readonly signed: boolean;
}

export type ActivationOutcome =
  | {
      readonly kind: 'profile';
      readonly contentType: typeof enrollmentContentType;
      readonly body: Buffer;
      readonly deviceId: DeviceId;
      /** The same offer as before: the download was repeated. */
      readonly repeated: boolean;
    }
  /** `reason` is for the log; the answer is `activationRefusal`, whatever it says. */
  | { readonly kind: 'refused'; readonly reason: 'wrong' | 'expired' | 'exhausted' | 'none' }
  /** Too many at once: 503. */
  | { readonly kind: 'busy' }
  | FenceMiss;

/** The one answer to every refused activation. */
export const activationRefusal = {
  code: 'ERR_ACTIVATION_REFUSED',
  message:
    'The account name or the activation password is wrong, or the password has expired or was tried too often. ' +
    'Ask the administrator for a new activation password.',
} as const;

/** Digesting a password holds a thread for tens of milliseconds: more at once would only wait. */
const activationsAtOnceMax = 64;

export interface Activation {
  activate(request: ActivationRequest): Promise<ActivationOutcome>;
}

/** Activations at one instance. */
export function createActivation(options: {
  readonly db: Database;
  readonly instanceId: InstanceId;
  readonly domain: EnrollmentDomain;
  readonly authorities: InstanceAuthorities;
}): Activation {
  const { db, instanceId, domain, authorities } = options;
  let underWay = 0;

  async function offer(request: ActivationRequest): Promise<ActivationOutcome> {
    const accountName = storedName(request.accountName);
    const check = await checkActivationPassword(db, { instanceId, accountName, password: request.password });
    switch (check.kind) {
      case 'wrong':
      case 'expired':
      case 'exhausted':
      case 'none':
        return { kind: 'refused', reason: check.kind };
      case 'not-owner':
      case 'moving':
        return check;
      case 'accepted':
        break;
    }
    const { accountId } = check;
    const outcome = await offerDevice(db, { accountId, instanceId, platform: request.platform });
    if (outcome.kind !== 'done') return outcome;
    if (outcome.value.kind === 'used-up') return { kind: 'refused', reason: 'none' };
    const device = outcome.value.offer;
    const facts = { domain, authorities, device, accountName };
    return {
      kind: 'profile',
      contentType: enrollmentContentType,
      body: request.signed ? signedEnrollmentProfile(facts) : enrollmentProfile(facts),
      deviceId: device.deviceId,
      repeated: outcome.value.repeated,
    };
  }

  return {
    async activate(request) {
      if (underWay >= activationsAtOnceMax) return { kind: 'busy' };
      underWay += 1;
      try {
        return await offer(request);
      } finally {
        underWay -= 1;
      }
    },
  };
}

/** What cannot be a name is one that nobody has, and takes as long to refuse. */
function storedName(typed: string): string {
  try {
    return accountNameOf(typed);
  } catch (error) {
    if (isBrambleError(error, 'ERR_ACCOUNT_NAME')) return '';
    throw error;
  }
}
