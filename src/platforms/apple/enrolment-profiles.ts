/**
 * The enrolment profile of a device that was offered: the addresses of the domain with the device's own token, and both
 * authorities as roots. Protects: ServerURL, CheckInURL and Topic can never change once a device has installed them, so
 * they contain nothing specific to an instance. The same offer always gives the same profile.
 */
import { createPrivateKey } from 'node:crypto';
import { commandRequest } from '../../protocol/apple/command.ts';
import { appleContentType } from '../../protocol/apple/content-type.ts';
import { buildEnrollmentProfile, enrollmentProfileIdentifier } from '../../protocol/apple/enrollment-profile.ts';
import { signAttached } from '../../protocol/cms/signing.ts';
import { isIssuedBy } from '../../protocol/x509/certificate-chain.ts';
import { readCertificate } from '../../protocol/x509/certificate-fields.ts';
import type { Enrolment, EnrolmentFacts } from '../enrolment.ts';
import { revisionOf } from './compiled-profile.ts';
import { installation, orderOf } from './profile-compiler.ts';

/** The addresses of one device. They stay the same for as long as it is under management. */
function deviceAddresses(publicUrl: string, token: string): { checkIn: string; connect: string; scep: string } {
  const base = publicUrl.replace(/\/+$/, '');
  return {
    checkIn: `${base}/mdm/${token}/checkin`,
    connect: `${base}/mdm/${token}/connect`,
    scep: `${base}/scep/${token}`,
  };
}

function identifierPrefixOf({ domainId }: Pick<EnrolmentFacts['domain'], 'domainId'>): string {
  return `bramble.${domainId}`;
}

/** The profile as an XML property list, unsigned. */
function enrolmentProfile(facts: EnrolmentFacts): Buffer {
  const { domain, device, authorities } = facts;
  const addresses = deviceAddresses(domain.publicUrl, device.token);
  return buildEnrollmentProfile({
    organization: domain.name,
    identifierPrefix: identifierPrefixOf(domain),
    seed: device.deviceId,
    checkInUrl: addresses.checkIn,
    serverUrl: addresses.connect,
    scepUrl: addresses.scep,
    challenge: device.challenge,
    subject: { organization: domain.name, organizationalUnit: facts.accountName, commonName: device.deviceId },
    topic: domain.wakeChannel,
    authorityCertificatesDer: [...domainRoots(authorities), ...deviceRoots(authorities)],
    capabilities: ['com.apple.mdm.per-user-connections', 'com.apple.mdm.bootstraptoken'],
  });
}

/** What a device is to trust of those that issue the routers' certificates: during a rollover both. */
function domainRoots({ domainCertificateDer, otherDomainDer }: EnrolmentFacts['authorities']): Uint8Array[] {
  return otherDomainDer === undefined ? [domainCertificateDer] : [domainCertificateDer, otherDomainDer];
}

/** What a device is to trust of those that issue identities: during a rollover both. */
function deviceRoots({ device, formerDeviceDer }: EnrolmentFacts['authorities']): Uint8Array[] {
  return formerDeviceDer === undefined ? [device.certificateDer] : [device.certificateDer, formerDeviceDer];
}

/** Whatever the time is: whether the signer may be used is not for this to judge. */
function issuerOf(signerDer: Uint8Array, { device, formerDeviceDer }: EnrolmentFacts['authorities']): Uint8Array {
  if (formerDeviceDer === undefined) return device.certificateDer;
  const isFormers = isIssuedBy(signerDer, formerDeviceDer, readCertificate(signerDer).notBefore);
  return isFormers ? formerDeviceDer : device.certificateDer;
}

/** The profile in CMS SignedData, by the profile signer, whose issuer is one of the roots in the profile. */
function signedEnrolmentProfile(facts: EnrolmentFacts): Buffer {
  const { device, profileSigner, deviceBridgeDer } = facts.authorities;
  const issuerDer = issuerOf(profileSigner.certificateDer, facts.authorities);
  const { certificateDer, privateKeyPem } = profileSigner;
  return signAttached({
    key: createPrivateKey(privateKeyPem),
    certificateDer,
    body: enrolmentProfile(facts),
    chainDer: profileSigner === device ? [] : [issuerDer, ...(deviceBridgeDer === undefined ? [] : [deviceBridgeDer])],
  });
}

export const appleEnrolment: Enrolment = {
  offer: (facts, signed) => ({
    contentType: appleContentType.profile,
    body: signed ? signedEnrolmentProfile(facts) : enrolmentProfile(facts),
  }),
  renewal: (facts) => {
    const bytes = signedEnrolmentProfile(facts);
    return installation({ bytes, revision: revisionOf(bytes), skipped: [] });
  },
  removal: (domain) => {
    const identifier = enrollmentProfileIdentifier(identifierPrefixOf(domain));
    return orderOf(commandRequest.removeProfile(identifier), {
      revision: revisionOf(Buffer.from(identifier)),
      skipped: [],
    });
  },
};
