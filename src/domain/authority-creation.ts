/**
 * The keys that sign for a domain at their beginning: two roots, made once, when the domain is made; registration
 * authority and profile signer, made with them, or when a domain of a release before 1.2 is expanded.
 *
 * Invariant: what is there stays. Devices trust it, and it may have signed what is under way.
 */
import type { Queryable } from '../database/connection.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import { createAuthority, issueCertificate, randomSerialHex } from '../protocol/x509/certificate.ts';
import { createRsaKeyPair, type KeyAlgorithm, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import {
  type Authorities,
  type Authority,
  type InstanceAuthorities,
  loadAuthority,
  storeAuthority,
} from './authorities.ts';

/** Devices and components trust these for ever, so they outlive every certificate. */
const authorityDays = 20 * 365;

/** The certificates below the device authority, under the names of their rows. They end with the authority itself. */
const signers = {
  registration: { title: 'registration authority', usage: 'registration' },
  'profile-signer': { title: 'profile signer', usage: 'profile-signer' },
} as const;

/** Makes and stores both roots and what is signed by the device authority. */
export async function createAuthorities(
  q: Queryable,
  keys: MasterKeys,
  domain: { readonly name: string },
): Promise<Authorities> {
  const roots = await generateRoots(domain);
  await storeAuthority(q, keys, 'domain', roots.domain);
  await storeAuthority(q, keys, 'device', roots.device);
  await createMissingSigners(q, keys, domain);
  return roots;
}

/**
 * Makes and stores the registration authority and the profile signer where they are missing, and returns which were.
 * Can be repeated, and of two at once one wins for each name. @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE.
 */
export async function createMissingSigners(
  q: Queryable,
  keys: MasterKeys,
  domain: { readonly name: string },
): Promise<(keyof typeof signers)[]> {
  const device = await loadAuthority(q, keys, 'device');
  const made: (keyof typeof signers)[] = [];
  if (device === undefined) return made;
  const present = await q<{ name: string }[]>`select name from authority`;
  for (const name of ['registration', 'profile-signer'] as const) {
    if (present.some((row) => row.name === name)) continue;
    if (await storeAuthority(q, keys, name, await generateSigner(name, device, domain))) made.push(name);
  }
  return made;
}

/** All of them without storing them. */
export async function generateAuthorities(domain: {
  readonly name: string;
}): Promise<Authorities & InstanceAuthorities> {
  const roots = await generateRoots(domain);
  return {
    ...roots,
    domainCertificateDer: roots.domain.certificateDer,
    registration: await generateSigner('registration', roots.device, domain),
    profileSigner: await generateSigner('profile-signer', roots.device, domain),
  };
}

/** `domain` of EC P-256, `device` of RSA 2048, the only kind of key that SCEP knows. */
async function generateRoots(domain: { readonly name: string }): Promise<Authorities> {
  const [domainAuthority, deviceAuthority] = await Promise.all([
    generateRoot(`${domain.name} domain authority`, domain.name, 'EC-P256'),
    generateRoot(`${domain.name} device authority`, domain.name, 'RSA-2048'),
  ]);
  return { domain: domainAuthority, device: deviceAuthority };
}

async function generateRoot(commonName: string, organization: string, algorithm: KeyAlgorithm): Promise<Authority> {
  const made = await createAuthority({ commonName, organization, algorithm, days: authorityDays });
  return { certificateDer: Buffer.from(made.certificateDer), privateKeyPem: made.privateKeyPem };
}

async function generateSigner(
  name: keyof typeof signers,
  device: Authority,
  domain: { readonly name: string },
): Promise<Authority> {
  const { privateKey, publicKey } = await createRsaKeyPair();
  const { title, usage } = signers[name];
  const certificateDer = issueCertificate({
    authority: device,
    publicKey: { spkiDer: spkiDerOf(publicKey) },
    subject: { commonName: `${domain.name} ${title}`, organization: domain.name },
    days: authorityDays,
    serialHex: randomSerialHex(),
    usage,
  });
  return { certificateDer, privateKeyPem: privateKeyPemOf(privateKey) };
}
