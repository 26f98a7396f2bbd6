/**
 * Creates the keys that sign for a domain: two roots, made once, when the domain is made; registration authority,
 * profile signer and route signer, made with them, or when a domain of a release before 1.2 is expanded. The profile
 * signer, whose signatures count only when a profile is opened, is renewed in time; the others expire with their root.
 *
 * Invariant: an existing key that is not due for renewal stays. Devices trust it, and it may have signed requests under
 * way.
 */
import type { Queryable, Transaction } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import { createAuthority, issueCertificate, randomSerialHex, validFrom } from '../protocol/x509/certificate.ts';
import { readCertificate } from '../protocol/x509/certificate-fields.ts';
import { isCertificateDue } from '../protocol/x509/certificate-renewal.ts';
import {
  createEcKeyPair,
  createRsaKeyPair,
  type KeyAlgorithm,
  privateKeyPemOf,
  spkiDerOf,
} from '../protocol/x509/key-pair.ts';
import {
  type Authorities,
  type Authority,
  type InstanceAuthorities,
  loadAuthorities,
  loadAuthority,
  replaceAuthority,
  storeAuthority,
  storeDomainAuthority,
} from './authorities.ts';

/** Devices and components trust these for ever, so they outlive every certificate. */
const authorityDays = 20 * 365;
const profileSignerDays = 825;

/** The certificates below the roots, under the names of their rows. None lasts longer than its root. */
const signers = {
  registration: { title: 'registration authority', usage: 'registration', below: 'device', days: authorityDays },
  'profile-signer': { title: 'profile signer', usage: 'profile-signer', below: 'device', days: profileSignerDays },
  'route-signer': { title: 'route signer', usage: 'route-signer', below: 'domain', days: authorityDays },
} as const;
type SignerName = keyof typeof signers;
const signerNames = Object.keys(signers) as SignerName[];

/** Makes and stores both roots and what is signed by them. */
export async function createAuthorities(
  q: Queryable,
  keys: MasterKeys,
  domain: { readonly name: string },
): Promise<Authorities> {
  const roots = await generateRoots(domain, await databaseTime(q));
  await storeDomainAuthority(q, keys, roots.domain);
  await storeAuthority(q, keys, 'device', roots.device);
  await createMissingSigners(q, keys, domain);
  return roots;
}

/**
 * Makes and stores registration authority, profile signer and route signer where they are missing, and returns which
 * were. Can be repeated; of two concurrent calls one wins for each name. @throws BrambleError ERR_MASTER_KEY or
 * ERR_SEALED_VALUE.
 */
export async function createMissingSigners(
  q: Queryable,
  keys: MasterKeys,
  domain: { readonly name: string },
): Promise<SignerName[]> {
  const made: SignerName[] = [];
  const present = await q<{ name: string }[]>`select name from authority`;
  const missing = signerNames.filter((name) => !present.some((row) => row.name === name));
  if (present.length === 0 || missing.length === 0) return made;
  const roots = await loadAuthorities(q, keys);
  const now = await databaseTime(q);
  for (const name of missing) {
    if (await storeAuthority(q, keys, name, await generateSigner(name, roots, domain, now))) made.push(name);
  }
  return made;
}

/**
 * Replaces the profile signer, with a new key, when at most a third of its validity is left, unless it lasts as long as
 * its root; or when it is not valid yet. Returns whether it did; of two concurrent calls one does. @throws BrambleError
 * ERR_MASTER_KEY or ERR_SEALED_VALUE.
 */
export async function renewProfileSigner(
  tx: Transaction,
  keys: MasterKeys,
  domain: { readonly name: string },
  now: Date,
): Promise<boolean> {
  const roots = await loadAuthorities(tx, keys);
  const present = await loadAuthority(tx, keys, 'profile-signer');
  if (present === undefined) return false;
  const certificate = readCertificate(present.certificateDer);
  const outlived = readCertificate(roots.device.certificateDer).notAfter > certificate.notAfter;
  if (!outlived && certificate.notBefore <= now) return false;
  if (!isCertificateDue(certificate, now)) return false;
  const next = await generateSigner('profile-signer', roots, domain, now);
  return await replaceAuthority(tx, keys, 'profile-signer', present, next);
}

/** All of them without storing them. */
export async function generateAuthorities(domain: {
  readonly name: string;
}): Promise<Authorities & InstanceAuthorities> {
  const now = new Date();
  const roots = await generateRoots(domain, now);
  return {
    ...roots,
    domainCertificateDer: roots.domain.certificateDer,
    registration: await generateSigner('registration', roots, domain, now),
    profileSigner: await generateSigner('profile-signer', roots, domain, now),
  };
}

/** `domain` of EC P-256, `device` of RSA 2048, the only kind of key that SCEP knows. */
async function generateRoots(domain: { readonly name: string }, now: Date): Promise<Authorities> {
  const [domainAuthority, deviceAuthority] = await Promise.all([
    generateRoot(`${domain.name} domain authority`, domain.name, 'EC-P256', now),
    generateRoot(`${domain.name} device authority`, domain.name, 'RSA-2048', now),
  ]);
  return { domain: domainAuthority, device: deviceAuthority };
}

/** The successor of a root. Its name tells it from the one before: devices have both. */
export async function generateNextRoot(
  which: 'domain' | 'device',
  domain: { readonly name: string },
  now: Date,
): Promise<Authority> {
  const title = `${domain.name} ${which} authority of ${now.toISOString()}`;
  return await generateRoot(title, domain.name, which === 'domain' ? 'EC-P256' : 'RSA-2048', now);
}

async function generateRoot(
  commonName: string,
  organization: string,
  algorithm: KeyAlgorithm,
  now: Date,
): Promise<Authority> {
  const made = await createAuthority({ commonName, organization, algorithm, days: authorityDays, now });
  return { certificateDer: Buffer.from(made.certificateDer), privateKeyPem: made.privateKeyPem };
}

export async function generateSigner(
  name: SignerName,
  roots: Authorities,
  domain: { readonly name: string },
  now: Date,
): Promise<Authority> {
  const { title, usage, below, days } = signers[name];
  const { privateKey, publicKey } = await (below === 'domain' ? createEcKeyPair() : createRsaKeyPair());
  const certificateDer = issueCertificate({
    authority: roots[below],
    publicKey: { spkiDer: spkiDerOf(publicKey) },
    subject: { commonName: `${domain.name} ${title}`, organization: domain.name },
    days,
    serialHex: randomSerialHex(),
    usage,
    notBefore: validFrom(now),
  });
  return { certificateDer, privateKeyPem: privateKeyPemOf(privateKey) };
}
