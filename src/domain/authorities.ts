/**
 * The domain's two authorities. `domain` (EC P-256) signs SRP credentials, server certificates and signed answers;
 * `device` (RSA 2048, also the SCEP registration authority) signs device identities. Keys lie sealed in the database.
 */
import { createPrivateKey } from 'node:crypto';
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';

export interface Authority {
  certificateDer: Buffer;
  privateKeyPem: string;
}

export interface Authorities {
  domain: Authority;
  device: Authority;
}

export async function storeAuthority(
  q: Queryable,
  keys: MasterKeys,
  name: keyof Authorities,
  authority: Authority,
): Promise<void> {
  const der = createPrivateKey(authority.privateKeyPem).export({ type: 'pkcs8', format: 'der' });
  const { ciphertext, keyId } = sealValue(keys, `authority/private_key/${name}`, der);
  await q`
    insert into authority (name, certificate, private_key, key_id)
    values (${name}, ${authority.certificateDer}, ${ciphertext}, ${keyId})`;
}

/** @throws BrambleError ERR_NO_DOMAIN, ERR_MASTER_KEY or ERR_SEALED_VALUE. */
export async function loadAuthorities(q: Queryable, keys: MasterKeys): Promise<Authorities> {
  const rows = await q<{ name: string; certificate: Buffer; privateKey: Buffer; keyId: string }[]>`
    select name, certificate, private_key as "privateKey", key_id as "keyId" from authority`;
  const load = (name: keyof Authorities): Authority => {
    const row = rows.find((candidate) => candidate.name === name);
    if (!row) throw new BrambleError('ERR_NO_DOMAIN', `The database holds no ${name} authority.`);
    const der = openValue(keys, `authority/private_key/${name}`, row.privateKey, row.keyId);
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    return { certificateDer: row.certificate, privateKeyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
  };
  return { domain: load('domain'), device: load('device') };
}
