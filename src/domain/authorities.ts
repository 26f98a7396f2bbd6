/**
 * The keys that sign for the domain, sealed in the database, each with its certificate:
 *
 *   domain          EC P-256  a root: SRP credentials, server certificates, signed answers
 *   device          RSA 2048  a root: device identities, and the two certificates below
 *   registration    RSA 2048  opens SCEP requests and signs their answers
 *   profile-signer  RSA 2048  signs enrolment profiles
 *
 * Invariant: a key is used for what its certificate says, and opens under its own name only.
 */
import { createPrivateKey } from 'node:crypto';
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';

export interface Authority {
  certificateDer: Buffer;
  privateKeyPem: string;
}

export type AuthorityName = 'domain' | 'device' | 'registration' | 'profile-signer';

/** The two roots. */
export interface Authorities {
  domain: Authority;
  device: Authority;
}

/** What a server instance works with. Of the domain authority it needs the certificate, which devices are to trust. */
export interface InstanceAuthorities {
  domainCertificateDer: Buffer;
  device: Authority;
  registration: Authority;
  profileSigner: Authority;
}

/** False when there is one of that name already: it stays, and what it signed stays good. */
export async function storeAuthority(
  q: Queryable,
  keys: MasterKeys,
  name: AuthorityName,
  authority: Authority,
): Promise<boolean> {
  const der = createPrivateKey(authority.privateKeyPem).export({ type: 'pkcs8', format: 'der' });
  const { ciphertext, keyId } = sealValue(keys, `authority/private_key/${name}`, der);
  const stored = await q`
    insert into authority (name, certificate, private_key, key_id)
    values (${name}, ${authority.certificateDer}, ${ciphertext}, ${keyId})
    on conflict (name) do nothing
    returning name`;
  return stored.length > 0;
}

/** Undefined when there is none of that name. @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE. */
export async function loadAuthority(
  q: Queryable,
  keys: MasterKeys,
  name: AuthorityName,
): Promise<Authority | undefined> {
  const [row] = await q<{ certificate: Buffer; privateKey: Buffer; keyId: string }[]>`
    select certificate, private_key as "privateKey", key_id as "keyId" from authority where name = ${name}`;
  if (row === undefined) return undefined;
  const der = openValue(keys, `authority/private_key/${name}`, row.privateKey, row.keyId);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return { certificateDer: row.certificate, privateKeyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE. */
export async function loadAuthorities(q: Queryable, keys: MasterKeys): Promise<Authorities> {
  return { domain: await requireAuthority(q, keys, 'domain'), device: await requireAuthority(q, keys, 'device') };
}

/**
 * Where a domain has no registration authority or profile signer yet, the device authority stands in for them, as it did
 * before 1.2. Whoever makes a domain or expands it makes both, so this is for a domain that neither has reached.
 * @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE.
 */
export async function loadInstanceAuthorities(q: Queryable, keys: MasterKeys): Promise<InstanceAuthorities> {
  const [domain] = await q<{ certificate: Buffer }[]>`select certificate from authority where name = 'domain'`;
  if (domain === undefined) throw noAuthority('domain');
  const device = await requireAuthority(q, keys, 'device');
  return {
    domainCertificateDer: domain.certificate,
    device,
    registration: (await loadAuthority(q, keys, 'registration')) ?? device,
    profileSigner: (await loadAuthority(q, keys, 'profile-signer')) ?? device,
  };
}

async function requireAuthority(q: Queryable, keys: MasterKeys, name: AuthorityName): Promise<Authority> {
  const authority = await loadAuthority(q, keys, name);
  if (authority === undefined) throw noAuthority(name);
  return authority;
}

function noAuthority(name: AuthorityName): BrambleError {
  return new BrambleError('ERR_NO_DOMAIN', `The database holds no ${name} authority.`);
}
