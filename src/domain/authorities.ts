/**
 * The keys that sign for the domain, sealed in the database, each with its certificate:
 *
 *   domain          EC P-256  a root: SRP credentials, server certificates, signed answers
 *   device          RSA 2048  a root: device identities, and the two certificates below
 *   registration    RSA 2048  opens SCEP requests and signs their answers
 *   profile-signer  RSA 2048  signs what devices enrol with
 *   route-signer    EC P-256  signs what instances answer to routers, and nothing else
 *
 * and during a rollover `domain-other` (`other-domain-authority.ts`), `route-signer-former` (`route-signer-roll.ts`), or
 * (`device-authority-roll.ts`) `device-former`, of which only the certificate is left, and `registration-former`; and since one
 * `device-bridge`, a certificate.
 *
 * Invariant: a key is used only for what its certificate says, and can be decrypted only under its own name. The domain
 * authority's key is in a separate table, which only administration and coordinator may read, as soon as no instance of
 * 1.1 is left.
 */
import { createPrivateKey } from 'node:crypto';
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';

export interface Authority {
  certificateDer: Buffer;
  privateKeyPem: string;
}

export type AuthorityName =
  | 'domain'
  | 'device'
  | 'registration'
  | 'profile-signer'
  | 'route-signer'
  | 'device-former'
  | 'registration-former'
  | 'route-signer-former'
  | 'domain-other'
  | 'device-bridge';

/** The two roots. */
export interface Authorities {
  domain: Authority;
  device: Authority;
}

/** The keys of a server instance. It needs only the domain authority's certificate, which devices must trust. */
export interface InstanceAuthorities {
  domainCertificateDer: Buffer;
  /** During its rollover: a root on devices, too. */
  otherDomainDer?: Buffer | undefined;
  device: Authority;
  registration: Authority;
  profileSigner: Authority;
  /** During a rollover: identities of it are accepted, and it is a root on devices. */
  formerDeviceDer?: Buffer | undefined;
  /** Since a rollover: the device authority's certificate by the one before, for devices that know only that. */
  deviceBridgeDer?: Buffer | undefined;
  /** Opens what was encrypted to it before the rollover. */
  formerRegistration?: Authority | undefined;
}

/** Stores the domain authority of a new domain. */
export async function storeDomainAuthority(q: Queryable, keys: MasterKeys, authority: Authority): Promise<void> {
  const { ciphertext, keyId } = sealAuthorityKey(keys, 'domain', authority);
  await q`insert into authority (name, certificate) values ('domain', ${authority.certificateDer})`;
  await q`insert into domain_key (private_key, key_id) values (${ciphertext}, ${keyId})`;
}

/** False when one of that name exists: it stays, and what it signed stays valid. */
export async function storeAuthority(
  q: Queryable,
  keys: MasterKeys,
  name: AuthorityName,
  authority: Authority | (Pick<Authority, 'certificateDer'> & { readonly privateKeyPem: null }),
): Promise<boolean> {
  const { certificateDer, privateKeyPem } = authority;
  const sealed = privateKeyPem === null ? null : sealAuthorityKey(keys, name, { certificateDer, privateKeyPem });
  const stored = await q`
    insert into authority (name, certificate, private_key, key_id)
    values (${name}, ${certificateDer}, ${sealed?.ciphertext ?? null}, ${sealed?.keyId ?? null})
    on conflict (name) do nothing
    returning name`;
  return stored.length > 0;
}

/** Replaces certificate and key together; false when the current one has changed meanwhile. */
export async function replaceAuthority(
  q: Queryable,
  keys: MasterKeys,
  name: AuthorityName,
  present: Authority,
  successor: Authority,
): Promise<boolean> {
  const { ciphertext, keyId } = sealAuthorityKey(keys, name, successor);
  const replaced = await q`
    update authority set certificate = ${successor.certificateDer}, private_key = ${ciphertext}, key_id = ${keyId}
     where name = ${name} and certificate = ${present.certificateDer}
    returning name`;
  return replaced.length > 0;
}

export async function removeAuthorities(q: Queryable, names: readonly AuthorityName[]): Promise<void> {
  await q`delete from authority where name = any(${names as AuthorityName[]})`;
}

/** As it is stored. */
export interface SealedAuthority {
  certificate: Buffer;
  privateKey: Buffer;
  keyId: string;
}

/**
 * Undefined when there is none of that name, or when the domain authority's key is in the separate table.
 * @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE.
 */
export async function loadAuthority(
  q: Queryable,
  keys: MasterKeys,
  name: AuthorityName,
): Promise<Authority | undefined> {
  const [row] = await q<SealedAuthority[]>`
    select certificate, private_key as "privateKey", key_id as "keyId"
      from authority where name = ${name} and private_key is not null`;
  return row && openAuthorityKey(keys, name, row);
}

/** Of all authorities, by name. */
export async function listAuthorityCertificates(q: Queryable): Promise<{ name: AuthorityName; certificate: Buffer }[]> {
  return await q<{ name: AuthorityName; certificate: Buffer }[]>`select name, certificate from authority order by name`;
}

/**
 * The domain authority with its key, wherever it is stored, even on a schema without the separate table. For
 * administration and coordinator. @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE.
 */
export async function loadDomainAuthority(q: Queryable, keys: MasterKeys): Promise<Authority> {
  const undivided = await loadAuthority(q, keys, 'domain');
  if (undivided !== undefined) return undivided;
  const [present] = await q`select 1 from authority where name = 'domain'`;
  if (present === undefined) throw noAuthority('domain');
  const [row] = await q<SealedAuthority[]>`
    select a.certificate, k.private_key as "privateKey", k.key_id as "keyId"
      from authority a cross join domain_key k where a.name = 'domain'`;
  if (row === undefined) throw noAuthority('domain');
  return openAuthorityKey(keys, 'domain', row);
}

/** @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE. */
export async function loadAuthorities(q: Queryable, keys: MasterKeys): Promise<Authorities> {
  return { domain: await loadDomainAuthority(q, keys), device: await requireAuthority(q, keys, 'device') };
}

/** The context that an authority's key is sealed for, wherever it is stored. */
export function authorityKeyPlace(name: string): string {
  return `authority/private_key/${name}`;
}

/** For the row or table of the key. */
export function sealAuthorityKey(keys: MasterKeys, name: AuthorityName, authority: Authority) {
  const der = createPrivateKey(authority.privateKeyPem).export({ type: 'pkcs8', format: 'der' });
  return sealValue(keys, authorityKeyPlace(name), der);
}

export function openAuthorityKey(keys: MasterKeys, name: AuthorityName, row: SealedAuthority): Authority {
  const der = openValue(keys, authorityKeyPlace(name), row.privateKey, row.keyId);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return { certificateDer: row.certificate, privateKeyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/**
 * If a domain has no registration authority or profile signer yet, the device authority stands in for them, as before
 * 1.2. Creating and expanding a domain both create them, so this is for a domain where neither has happened.
 * @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE.
 */
export async function loadInstanceAuthorities(q: Queryable, keys: MasterKeys): Promise<InstanceAuthorities> {
  const certificates = new Map((await listAuthorityCertificates(q)).map((row) => [row.name, row.certificate]));
  const domain = certificates.get('domain');
  if (domain === undefined) throw noAuthority('domain');
  const device = await requireAuthority(q, keys, 'device');
  return {
    domainCertificateDer: domain,
    otherDomainDer: certificates.get('domain-other'),
    device,
    registration: (await loadAuthority(q, keys, 'registration')) ?? device,
    profileSigner: (await loadAuthority(q, keys, 'profile-signer')) ?? device,
    formerDeviceDer: certificates.get('device-former'),
    deviceBridgeDer: certificates.get('device-bridge'),
    formerRegistration: await loadAuthority(q, keys, 'registration-former'),
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

/**
 * The key with which an instance signs its answers to routers: the route signer, or the domain authority as long as
 * routers of 1.1, which know nothing else, may ask. The location of its key tells which.
 * @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE.
 */
export async function loadRouteSigner(
  q: Queryable,
  keys: MasterKeys,
): Promise<{ signer: Authority; name: 'domain' | 'route-signer' }> {
  const domain = await loadAuthority(q, keys, 'domain');
  if (domain !== undefined) return { signer: domain, name: 'domain' };
  return { signer: await requireAuthority(q, keys, 'route-signer'), name: 'route-signer' };
}
