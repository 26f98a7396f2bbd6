/**
 * The secrets of devices, sealed again when the master key is rotated. Invariant: rows are locked only where nobody else
 * holds them, so that no device waits in a circle; those that are passed over are found by the next walk.
 */
import type { DeviceId } from '../base/ids.ts';
import { type SealedPlace, sealedAgain } from '../database/sealed-place.ts';
import { column, sealedPlace, secretColumn } from '../states/stored-names.ts';

/** Locked by one transaction: for a few milliseconds. */
const batchRows = 200;

/** @param secret with its key's column. Walks the primary key. */
function secretsOf(secret: 'unlockSecret' | 'keptSecret'): SealedPlace {
  const keyColumn = `${secret}Key` as const;
  return {
    name: secretColumn(secret),
    recorded: false,
    count: async (q) =>
      await q<{ keyId: string; count: number }[]>`
        select ${column(q, keyColumn)} as "keyId", count(*)::int as count
          from device where ${column(q, secret)} is not null group by 1`,
    sealAgain: async (tx, keys, after) => {
      const rows = await tx<{ id: DeviceId; ciphertext: Buffer; keyId: string }[]>`
        select id, ${column(tx, secret)} as ciphertext, ${column(tx, keyColumn)} as "keyId" from device
         where (${after}::uuid is null or id > ${after}::uuid)
           and ${column(tx, secret)} is not null and ${column(tx, keyColumn)} <> ${keys.current}
         order by id limit ${batchRows} for no key update skip locked`;
      const again = rows.map((row) => ({ id: row.id, ...sealedAgain(keys, sealedPlace(secret, row.id), row) }));
      if (again.length > 0) {
        await tx`
          update device d set ${column(tx, secret)} = decode(s.ciphertext, 'hex'), ${column(tx, keyColumn)} = ${keys.current}
            from unnest(${again.map(({ id }) => id)}::uuid[], ${again.map((row) => row.ciphertext.toString('hex'))}::text[])
                   as s(id, ciphertext)
           where d.id = s.id`;
      }
      return rows.length < batchRows ? null : (rows.at(-1)?.id ?? null);
    },
  };
}

export const sealedUnlockSecrets: SealedPlace = secretsOf('unlockSecret');
export const sealedKeptSecrets: SealedPlace = secretsOf('keptSecret');
