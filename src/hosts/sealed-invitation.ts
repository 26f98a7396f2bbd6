/** The secret of an invitation as the database holds it: sealed, and bound to its row. */
import { sealedColumn } from '../database/sealed-place.ts';
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

/** Sealed again when the master key is rotated. */
export const sealedInvitations = sealedColumn<{ id: string }>({
  table: 'host_invitation',
  column: 'secret',
  keyId: 'secret_key_id',
  recorded: false,
  boundTo: ['id'],
  place: ({ id }) => placeOf(id),
});
