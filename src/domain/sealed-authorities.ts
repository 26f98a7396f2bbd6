/** The authorities' keys, sealed again when the master key is rotated. */
import type { SealedPlace } from '../database/sealed-place.ts';
import { sealedAgain } from '../database/sealed-place.ts';
import { authorityKeyPlace } from './authorities.ts';

interface Row {
  name: string;
  ciphertext: Buffer;
  keyId: string;
}

/** Five rows at most. */
export const sealedAuthorities: SealedPlace = {
  name: 'authority.private_key',
  recorded: true,
  count: async (q) =>
    await q<{ keyId: string; count: number }[]>`
      select key_id as "keyId", count(*)::int as count from authority where private_key is not null group by 1`,
  sealAgain: async (tx, keys) => {
    const rows = await tx<Row[]>`
      select name, private_key as ciphertext, key_id as "keyId" from authority
       where private_key is not null and key_id <> ${keys.current}`;
    for (const row of rows) {
      const { ciphertext, keyId } = sealedAgain(keys, authorityKeyPlace(row.name), row);
      await tx`
        update authority set private_key = ${ciphertext}, key_id = ${keyId}
         where name = ${row.name} and private_key = ${row.ciphertext}`;
    }
    return null;
  },
};

/** One row. */
export const sealedDomainKey: SealedPlace = {
  name: 'domain_key.private_key',
  recorded: true,
  count: async (q) =>
    await q<{ keyId: string; count: number }[]>`
      select key_id as "keyId", count(*)::int as count from domain_key group by 1`,
  sealAgain: async (tx, keys) => {
    const rows = await tx<Omit<Row, 'name'>[]>`
      select private_key as ciphertext, key_id as "keyId" from domain_key where key_id <> ${keys.current}`;
    for (const row of rows) {
      const { ciphertext, keyId } = sealedAgain(keys, authorityKeyPlace('domain'), row);
      await tx`update domain_key set private_key = ${ciphertext}, key_id = ${keyId} where private_key = ${row.ciphertext}`;
    }
    return null;
  },
};
