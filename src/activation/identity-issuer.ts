/**
 * Issues and renews the identity certificate of a device that was offered an enrolment, whatever the protocol of the
 * request.
 *
 * Protects: one offer, one key. The first key to present the challenge is bound to the offer; it gets the same
 * certificate again if the answer was lost (a retry costs nothing), and any other key is refused.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { InstanceId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import {
  type EnrollingDevice,
  enrollingDevice,
  type IssuedIdentity,
  type RenewalGround,
  replaceIdentity,
  storeIdentity,
  storeNextIdentity,
} from '../devices/device-identity.ts';
import type { InstanceAuthorities } from '../domain/authorities.ts';
import type { IdentityRequest } from '../platforms/protocol.ts';
import { isIssuedBy } from '../protocol/x509/certificate-chain.ts';
import { fingerprintOf } from '../protocol/x509/certificate-fields.ts';
import { type FenceMiss, fenceMissOf } from './fence-miss.ts';
import { keyDigest, type MintingOptions, mintIdentity } from './identity-minting.ts';

export type IdentityRefusal = 'challenge' | 'lapsed' | 'another-key' | 'not-enrolling' | 'not-the-present-identity';

export type IdentityDecision =
  | { readonly kind: 'certificate'; readonly certificateDer: Uint8Array }
  | { readonly kind: 'refused'; readonly refusal: IdentityRefusal }
  | FenceMiss;

/** The present one issues; identities of the former one count, too. */
export type IssuingAuthorities = Pick<InstanceAuthorities, 'device' | 'formerDeviceDer'>;

interface IdentityIssuerOptions extends Omit<MintingOptions, 'deviceAuthority'> {
  readonly instanceId: InstanceId;
  /** As they are now. */
  readonly authorities: () => Promise<IssuingAuthorities>;
  /** Whether every component accepts that an enrolment may have two identities for a while. */
  readonly renewalActive: () => Promise<boolean>;
}

export class IdentityIssuer {
  readonly #options: IdentityIssuerOptions;

  constructor(options: IdentityIssuerOptions) {
    this.#options = options;
  }

  /** For a device that belongs to this instance. If the fence refused: why. */
  async decide(device: EnrollingDevice, request: IdentityRequest): Promise<IdentityDecision> {
    const closed = closedTo(device);
    if (closed !== undefined) return refused(closed);
    const { challenge = null } = device.renewal ?? {};
    // A request with a renewal's challenge need not be signed with the current identity, which may have expired.
    if (challenge !== null && isSame(request.challenge ?? '', challenge)) {
      return await this.#renewByChallenge(device, request);
    }
    return request.renews === null
      ? await this.#enroll(device, request)
      : await this.#renew(device, request, request.renews);
  }

  async #enroll(device: EnrollingDevice, request: IdentityRequest): Promise<IdentityDecision> {
    if (!isSame(request.challenge ?? '', device.scepChallenge)) return refused('challenge');
    if (device.identityKey !== null) return certificateAgain(device, request);
    const issued = await this.#mint(device, request);
    if (await storeIdentity(this.#options.db, this.#fenced(device), issued)) {
      return { kind: 'certificate', certificateDer: issued.certificateDer };
    }
    return await this.#afterRival(device, request);
  }

  /** One renewal attempt, one key; the same key gets the same certificate again. */
  async #renewByChallenge(device: EnrollingDevice, request: IdentityRequest): Promise<IdentityDecision> {
    const { deliveryId, challenge, issuedFor, open } = device.renewal ?? {};
    if (!deliveryId || !challenge || device.identityKey === null) return refused('not-enrolling');
    if (issuedFor === deliveryId) return nextCertificateAgain(device, request);
    if (!open) return refused('lapsed');
    return await this.#issueNext(device, request, { deliveryId, challenge });
  }

  async #issueNext(
    device: EnrollingDevice,
    request: IdentityRequest,
    ground: RenewalGround,
  ): Promise<IdentityDecision> {
    const issued = await this.#mint(device, request);
    if (await storeNextIdentity(this.#options.db, this.#fenced(device), ground, issued)) {
      return { kind: 'certificate', certificateDer: issued.certificateDer };
    }
    return await this.#afterRival(device, request);
  }

  /**
   * Signed with the current identity, which may have expired: its fingerprint decides. Or a repeated request, for the
   * key that has become, or will become, the current one. 1.1 requires an unexpired identity, also in the rows that it
   * reads beside us.
   */
  async #renew(
    device: EnrollingDevice,
    request: IdentityRequest,
    signerCertificateDer: Uint8Array,
  ): Promise<IdentityDecision> {
    if (device.identityFingerprint === null) return refused('not-enrolling');
    const signer = fingerprintOf(signerCertificateDer);
    if (signer === device.identityFingerprint && (await this.#options.renewalActive())) {
      if (isSameKey(device.renewal, request)) return nextCertificateAgain(device, request);
      return await this.#issueNext(device, request, { presentFingerprint: signer });
    }
    const [authorities, now] = await Promise.all([this.#options.authorities(), this.#options.now()]);
    if (!trustedIssuers(authorities).some((der) => isIssuedBy(signerCertificateDer, der, now)))
      return refused('not-the-present-identity');
    if (signer !== device.identityFingerprint) {
      return isSameKey(device, request) ? certificateAgain(device, request) : refused('not-the-present-identity');
    }
    const issued = await this.#mint(device, request);
    if (await replaceIdentity(this.#options.db, this.#fenced(device), signer, issued)) {
      return { kind: 'certificate', certificateDer: issued.certificateDer };
    }
    return await this.#afterRival(device, request);
  }

  /** Nothing was written: a move, the same request or another key came first. */
  async #afterRival(before: EnrollingDevice, request: IdentityRequest): Promise<IdentityDecision> {
    const miss = await fenceMissOf(this.#options.db, this.#options.instanceId, { deviceId: before.deviceId });
    if (miss !== undefined && miss.kind !== 'mine') return miss;
    const device = await enrollingDevice(this.#options.db, this.#options.instanceId, before.token);
    if (device === undefined || device.state === 'gone') return refused('not-enrolling');
    if (isSameKey(device.renewal, request)) return nextCertificateAgain(device, request);
    return certificateAgain(device, request);
  }

  #fenced({ deviceId }: EnrollingDevice) {
    return { deviceId, instanceId: this.#options.instanceId };
  }

  async #mint(device: EnrollingDevice, request: IdentityRequest): Promise<IssuedIdentity> {
    const { device: deviceAuthority } = await this.#options.authorities();
    return await mintIdentity({ ...this.#options, deviceAuthority }, device, request);
  }
}

/** Certificates of the authorities whose identities are accepted. */
export function trustedIssuers({ device, formerDeviceDer }: IssuingAuthorities): readonly Uint8Array[] {
  return formerDeviceDer === undefined ? [device.certificateDer] : [device.certificateDer, formerDeviceDer];
}

/** Why this instance could not write the device a moment ago. If it can by now, the device asks again. */
export async function missOf(
  db: Queryable,
  instanceId: InstanceId,
  token: string,
): Promise<FenceMiss | { readonly kind: 'unknown-token' }> {
  const miss = await fenceMissOf(db, instanceId, { token });
  if (miss === undefined) return { kind: 'unknown-token' };
  return miss.kind === 'mine' ? { kind: 'moving' } : miss;
}

/** Why nothing is issued to this enrolment whatever the message says; undefined if the message decides. */
export function closedTo(device: EnrollingDevice): IdentityRefusal | undefined {
  if (device.state === 'gone') return 'not-enrolling';
  return device.identityKey === null && device.lapsed ? 'lapsed' : undefined;
}

function nextCertificateAgain({ renewal }: EnrollingDevice, request: IdentityRequest): IdentityDecision {
  const certificateDer = renewal?.identityCertificate ?? null;
  return isSameKey(renewal, request) && certificateDer !== null
    ? { kind: 'certificate', certificateDer }
    : refused('another-key');
}

function certificateAgain(device: EnrollingDevice, request: IdentityRequest): IdentityDecision {
  return isSameKey(device, request) && device.identityCertificate !== null
    ? { kind: 'certificate', certificateDer: device.identityCertificate }
    : refused('another-key');
}

function refused(refusal: IdentityRefusal): IdentityDecision {
  return { kind: 'refused', refusal };
}

function isSameKey(identity: Pick<EnrollingDevice, 'identityKey'> | null, request: IdentityRequest): boolean {
  const key = identity?.identityKey ?? null;
  return key !== null && Buffer.compare(key, keyDigest(request.publicKeySpkiDer)) === 0;
}

/** Compares digests, so that timing reveals neither the challenge nor its length. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
