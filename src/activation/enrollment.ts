/**
 * The enrolment profile of a device that was offered: the addresses of the domain with the device's own token, and both
 * authorities as roots. Protects: ServerURL, CheckInURL and Topic can never change once a device has installed them, so
 * they hold nothing of an instance. The same offer is always the same profile.
 */
import { createPrivateKey } from 'node:crypto';
import type { InstanceAuthorities } from '../domain/authorities.ts';
import type { Domain } from '../domain/domain.ts';
import { buildEnrollmentProfile, enrollmentProfileIdentifier } from '../protocol/apple/enrollment-profile.ts';
import { signAttached } from '../protocol/cms/signing.ts';
import type { DeviceOffer } from './device-offer.ts';

export const enrollmentContentType = 'application/x-apple-aspen-config';

/** What of the domain stands in a profile. */
export type EnrollmentDomain = Pick<Domain, 'domainId' | 'name' | 'publicUrl' | 'pushTopic'>;

export interface EnrollmentFacts {
  readonly domain: EnrollmentDomain;
  readonly authorities: Omit<InstanceAuthorities, 'registration'>;
  readonly device: DeviceOffer;
  /** Stands in the identity that the device asks for; the certificate's own subject is decided when it is issued. */
  readonly accountName: string;
}

/** The addresses of one device. They stay the same for as long as it is under management. */
export function deviceAddresses(publicUrl: string, token: string): { checkIn: string; connect: string; scep: string } {
  const base = publicUrl.replace(/\/+$/, '');
  return {
    checkIn: `${base}/mdm/${token}/checkin`,
    connect: `${base}/mdm/${token}/connect`,
    scep: `${base}/scep/${token}`,
  };
}

/** PayloadIdentifier of the enrolment profiles of a domain. */
export function enrollmentIdentifier(domain: Pick<EnrollmentDomain, 'domainId'>): string {
  return enrollmentProfileIdentifier(identifierPrefixOf(domain));
}

function identifierPrefixOf({ domainId }: Pick<EnrollmentDomain, 'domainId'>): string {
  return `bramble.${domainId}`;
}

/** The profile as an XML property list, unsigned. */
export function enrollmentProfile(facts: EnrollmentFacts): Buffer {
  const { domain, device, authorities } = facts;
  const addresses = deviceAddresses(domain.publicUrl, device.token);
  return buildEnrollmentProfile({
    organization: domain.name,
    identifierPrefix: identifierPrefixOf(domain),
    seed: device.deviceId,
    checkInUrl: addresses.checkIn,
    serverUrl: addresses.connect,
    scepUrl: addresses.scep,
    challenge: device.scepChallenge,
    subject: { organization: domain.name, organizationalUnit: facts.accountName, commonName: device.deviceId },
    topic: domain.pushTopic,
    authorityCertificatesDer: [authorities.domainCertificateDer, authorities.device.certificateDer],
    capabilities: ['com.apple.mdm.per-user-connections', 'com.apple.mdm.bootstraptoken'],
  });
}

/** The profile in CMS SignedData, by the profile signer, whose issuer is one of the roots in the profile. */
export function signedEnrollmentProfile(facts: EnrollmentFacts): Buffer {
  const { device, profileSigner } = facts.authorities;
  const { certificateDer, privateKeyPem } = profileSigner;
  return signAttached({
    key: createPrivateKey(privateKeyPem),
    certificateDer,
    body: enrollmentProfile(facts),
    chainDer: profileSigner === device ? [] : [device.certificateDer],
  });
}
