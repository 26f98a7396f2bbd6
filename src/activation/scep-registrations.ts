/**
 * Who opens SCEP requests, and what devices are told about that.
 *
 * Requests may be encrypted to the registration authority or, as up to 1.1, to the device authority itself, and the
 * authority that was addressed answers. While an upgrade is open the one announced is the one that 1.1 has: a device
 * that gets the certificate here may send its request there.
 *
 * Invariant: whichever is announced, a request to the other is opened too, and during a rollover one to the registration
 * authority from before.
 */
import { createPrivateKey } from 'node:crypto';
import type { Authority, InstanceAuthorities } from '../domain/authorities.ts';
import { bundleCertificates } from '../protocol/cms/signing.ts';
import { scepContentType } from '../protocol/scep/attributes.ts';
import type { RegistrationAuthority } from '../protocol/scep/server-message.ts';

/** The one announced to devices comes first. */
export type Registrations = readonly [RegistrationAuthority, ...RegistrationAuthority[]];

interface ScepRegistrations {
  current(): Promise<Registrations>;
  /** What GetCACert is answered with. */
  announcement(): Promise<{ readonly contentType: string; readonly body: Buffer }>;
}

export type ScepAuthorities = Pick<InstanceAuthorities, 'device' | 'registration' | 'formerRegistration'>;

/** @param active whether the registration authority is the one announced */
export function createScepRegistrations(
  { device, registration, formerRegistration }: ScepAuthorities,
  active: () => Promise<boolean>,
): ScepRegistrations {
  const former = registrationOf(device);
  // If the device authority stands in, there is only one.
  const present = registration === device ? former : registrationOf(registration);
  const earlier = formerRegistration === undefined ? [] : [registrationOf(formerRegistration)];

  async function current(): Promise<Registrations> {
    if (present === former) return [former, ...earlier];
    return (await active()) ? [present, former, ...earlier] : [former, present, ...earlier];
  }

  return {
    current,
    async announcement() {
      const [first] = await current();
      if (first === former) return { contentType: scepContentType.certificate, body: device.certificateDer };
      const body = bundleCertificates([first.raCertificate, device.certificateDer]);
      return { contentType: scepContentType.certificates, body };
    },
  };
}

function registrationOf({ certificateDer, privateKeyPem }: Authority): RegistrationAuthority {
  return { raKey: createPrivateKey(privateKeyPem), raCertificate: certificateDer };
}
