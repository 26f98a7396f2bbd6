/**
 * The keys that sign for the domain, sealed in the database, each with its certificate:
 *
 *   domain          EC P-256  a root: SRP credentials, server certificates, signed answers
 *   device          RSA 2048  a root: device identities, and the two certificates below
 *   registration    RSA 2048  opens SCEP requests and signs their answers
 *   profile-signer  RSA 2048  signs enrolment profiles
 *   route-signer    EC P-256  signs what instances answer to routers, and nothing else
 *
 * Invariant: a key is used for what its certificate says, and opens under its own name only. The domain authority's lies in
 * a table of its own, which administration and coordinator alone may read, as soon as no instance of 1.1 is left.
 */
import { createPrivateKey } from 'node:crypto';
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';

export interface Authority {
  certificateDer: Buffer;
  privateKeyPem: string;
}

export type AuthorityName = 'domain' | 'device' | 'registration' | 'profile-signer' | 'route-signer';

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

/** Stores the domain authority of a new domain. */
export async function storeDomainAuthority(q: Queryable, keys: MasterKeys, authority: Authority): Promise<void> {
  const { ciphertext, keyId } = sealKey(keys, 'domain', authority);
  await q`insert into authority (name, certificate) values ('domain', ${authority.certificateDer})`;
  await q`insert into domain_key (private_key, key_id) values (${ciphertext}, ${keyId})`;
}

/** False when there is one of that name already: it stays, and what it signed stays good. */
export async function storeAuthority(
  q: Queryable,
  keys: MasterKeys,
  name: AuthorityName,
  authority: Authority,
): Promise<boolean> {
  const { ciphertext, keyId } = sealKey(keys, name, authority);
  const stored = await q`
    insert into authority (name, certificate, private_key, key_id)
    values (${name}, ${authority.certificateDer}, ${ciphertext}, ${keyId})
    on conflict (name) do nothing
    returning name`;
  return stored.length > 0;
}

/** Certificate and key in one; false when the present one is another by now. */
export async function replaceAuthority(
  q: Queryable,
  keys: MasterKeys,
  name: AuthorityName,
  present: Authority,
  successor: Authority,
): Promise<boolean> {
  const { ciphertext, keyId } = sealKey(keys, name, successor);
  const replaced = await q`
    update authority set certificate = ${successor.certificateDer}, private_key = ${ciphertext}, key_id = ${keyId}
     where name = ${name} and certificate = ${present.certificateDer}
    returning name`;
  return replaced.length > 0;
}

interface SealedRow {
  certificate: Buffer;
  privateKey: Buffer;
  keyId: string;
}

/**
 * Undefined when there is none of that name, and for the domain authority also when its key lies apart.
 * @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE.
 */
export async function loadAuthority(
  q: Queryable,
  keys: MasterKeys,
  name: AuthorityName,
): Promise<Authority | undefined> {
  const [row] = await q<SealedRow[]>`
    select certificate, private_key as "privateKey", key_id as "keyId"
      from authority where name = ${name} and private_key is not null`;
  return row && openKey(keys, name, row);
}

/**
 * The domain authority with its key, wherever it lies, also on a schema that knows no other place yet. For administration
 * and coordinator. @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE.
 */
export async function loadDomainAuthority(q: Queryable, keys: MasterKeys): Promise<Authority> {
  const undivided = await loadAuthority(q, keys, 'domain');
  if (undivided !== undefined) return undivided;
  const [present] = await q`select 1 from authority where name = 'domain'`;
  if (present === undefined) throw noAuthority('domain');
  const [row] = await q<SealedRow[]>`
    select a.certificate, k.private_key as "privateKey", k.key_id as "keyId"
      from authority a cross join domain_key k where a.name = 'domain'`;
  if (row === undefined) throw noAuthority('domain');
  return openKey(keys, 'domain', row);
}

/** @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE. */
export async function loadAuthorities(q: Queryable, keys: MasterKeys): Promise<Authorities> {
  return { domain: await loadDomainAuthority(q, keys), device: await requireAuthority(q, keys, 'device') };
}

function sealKey(keys: MasterKeys, name: AuthorityName, authority: Authority) {
  const der = createPrivateKey(authority.privateKeyPem).export({ type: 'pkcs8', format: 'der' });
  return sealValue(keys, `authority/private_key/${name}`, der);
}

function openKey(keys: MasterKeys, name: AuthorityName, row: SealedRow): Authority {
  const der = openValue(keys, `authority/private_key/${name}`, row.privateKey, row.keyId);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return { certificateDer: row.certificate, privateKeyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
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

/**
 * What an instance signs its answers to routers with: the route signer, or the domain authority as long as routers of 1.1,
 * which know nothing else, may ask. That is told by where its key lies.
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
