/**
 * The domain authority that does not issue, during a rollover, and the exchange of both. For administration services: no other
 * process may read or write these keys, or loads statements that do.
 */
import type { Queryable, Transaction } from '../database/connection.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import {
  type Authority,
  loadDomainAuthority,
  openAuthorityKey,
  removeAuthorities,
  type SealedAuthority,
  sealAuthorityKey,
  storeAuthority,
} from './authorities.ts';

export interface OtherDomainAuthority extends Authority {
  /** It is the successor, and has not issued yet; otherwise it is the former one. */
  isNext: boolean;
}

/** Steps of two administrators come one after the other. @throws as `loadDomainAuthority` */
export async function lockDomainAuthority(tx: Transaction, keys: MasterKeys): Promise<Authority> {
  await tx`select from authority where name = 'domain' for update`;
  return await loadDomainAuthority(tx, keys);
}

/** @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE. */
export async function loadOtherDomainAuthority(
  q: Queryable,
  keys: MasterKeys,
): Promise<OtherDomainAuthority | undefined> {
  const [row] = await q<(SealedAuthority & { isNext: boolean })[]>`
    select a.certificate, k.private_key as "privateKey", k.key_id as "keyId", k.is_next as "isNext"
      from authority a cross join domain_key_other k where a.name = 'domain-other'`;
  return row && { ...openAuthorityKey(keys, 'domain-other', row), isNext: row.isNext };
}

/** In place of another one. */
export async function storeOtherDomainAuthority(
  tx: Transaction,
  keys: MasterKeys,
  { isNext, ...other }: OtherDomainAuthority,
): Promise<void> {
  const { ciphertext, keyId } = sealAuthorityKey(keys, 'domain-other', other);
  await removeAuthorities(tx, ['domain-other']);
  await storeAuthority(tx, keys, 'domain-other', { certificateDer: other.certificateDer, privateKeyPem: null });
  await tx`
    insert into domain_key_other (private_key, key_id, is_next) values (${ciphertext}, ${keyId}, ${isNext})
    on conflict (singleton) do update
       set private_key = excluded.private_key, key_id = excluded.key_id, is_next = excluded.is_next`;
}

export async function removeOtherDomainAuthority(tx: Transaction): Promise<void> {
  await removeAuthorities(tx, ['domain-other']);
  await tx`delete from domain_key_other`;
}

/** Another one issues from now on. */
export async function replaceDomainAuthority(tx: Transaction, keys: MasterKeys, successor: Authority): Promise<void> {
  const { ciphertext, keyId } = sealAuthorityKey(keys, 'domain', successor);
  await tx`update authority set certificate = ${successor.certificateDer} where name = 'domain'`;
  await tx`update domain_key set private_key = ${ciphertext}, key_id = ${keyId}`;
}

/** What the domain says of its authorities from now on, as it was signed. */
export async function insertStatement(
  q: Queryable,
  number: number,
  signed: { payload: string; signature: string },
): Promise<void> {
  await q`
    insert into authority_statement (number, payload, signature) values (${number}, ${signed.payload}, ${signed.signature})`;
}
