/**
 * The domain's two authorities at their beginning: made once, when the domain is made, and stored sealed.
 */
import type { Queryable } from '../database/connection.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import { type Authorities, type Authority, storeAuthority } from '../domain/authorities.ts';
import { createAuthority } from '../protocol/x509/certificate.ts';
import type { KeyAlgorithm } from '../protocol/x509/key-pair.ts';

/** Devices and components trust these for ever, so they outlive every certificate. */
const authorityDays = 20 * 365;

/** Makes and stores both authorities: `domain` of EC P-256, `device` of RSA 2048 because SCEP encrypts to it. */
export async function createAuthorities(
  q: Queryable,
  keys: MasterKeys,
  domain: { readonly name: string },
): Promise<Authorities> {
  const authorities = await generateAuthorities(domain);
  await storeAuthority(q, keys, 'domain', authorities.domain);
  await storeAuthority(q, keys, 'device', authorities.device);
  return authorities;
}

/** The same without storing them. */
export async function generateAuthorities(domain: { readonly name: string }): Promise<Authorities> {
  const [domainAuthority, deviceAuthority] = await Promise.all([
    generate(`${domain.name} domain authority`, domain.name, 'EC-P256'),
    generate(`${domain.name} device authority`, domain.name, 'RSA-2048'),
  ]);
  return { domain: domainAuthority, device: deviceAuthority };
}

async function generate(commonName: string, organization: string, algorithm: KeyAlgorithm): Promise<Authority> {
  const made = await createAuthority({ commonName, organization, algorithm, days: authorityDays });
  return { certificateDer: Buffer.from(made.certificateDer), privateKeyPem: made.privateKeyPem };
}
