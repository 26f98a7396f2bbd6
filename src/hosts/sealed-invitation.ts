/** The secret of an invitation as the database holds it: sealed, and bound to its row. */
import { type SealedPlace, sealedAgain } from '../database/sealed-place.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';

export function sealSecret(keys: MasterKeys, id: string, secret: string): { ciphertext: Buffer; keyId: string } {
  return sealValue(keys, placeOf(id), Buffer.from(secret));
}

/** @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE when it cannot be opened */
export function openSecret(keys: MasterKeys, id: string, secret: Buffer, keyId: string): string {
  return openValue(keys, placeOf(id), secret, keyId).toString();
}

function placeOf(id: string): string {
  return `host_invitation/${id}/secret`;
}

/** Sealed again when the master key is rotated. Few rows. */
export const sealedInvitations: SealedPlace = {
  name: 'host_invitation.secret',
  recorded: false,
  count: async (q) =>
    await q<{ keyId: string; count: number }[]>`
      select secret_key_id as "keyId", count(*)::int as count from host_invitation group by 1`,
  sealAgain: async (tx, keys) => {
    const rows = await tx<{ id: string; ciphertext: Buffer; keyId: string }[]>`
      select id, secret as ciphertext, secret_key_id as "keyId" from host_invitation
       where secret_key_id <> ${keys.current}`;
    for (const row of rows) {
      const { ciphertext, keyId } = sealedAgain(keys, placeOf(row.id), row);
      await tx`
        update host_invitation set secret = ${ciphertext}, secret_key_id = ${keyId}
         where id = ${row.id} and secret = ${row.ciphertext}`;
    }
    return null;
  },
};
