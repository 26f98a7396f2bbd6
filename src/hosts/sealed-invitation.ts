/** The secrets of an invitation as the database holds them: sealed, and bound to its row. */
import * as z from 'zod';
import { sealedColumn } from '../database/sealed-place.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';

export const invitationSecretsShape = z.object({
  /** Proves the request, and opens the answer. */
  secret: z.string(),
  /** Of the role for joining, as this invitation contains it: an invitation that is made meanwhile contains the same. */
  password: z.string(),
});
type InvitationSecrets = z.output<typeof invitationSecretsShape>;

export function sealSecrets(
  keys: MasterKeys,
  id: string,
  secrets: InvitationSecrets,
): { ciphertext: Buffer; keyId: string } {
  return sealValue(keys, placeOf(id), Buffer.from(JSON.stringify(secrets)));
}

/** @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE when they cannot be opened */
export function openSecrets(
  keys: MasterKeys,
  { id, secrets, keyId }: { id: string; secrets: Buffer; keyId: string },
): InvitationSecrets {
  return invitationSecretsShape.parse(JSON.parse(openValue(keys, placeOf(id), secrets, keyId).toString()));
}

function placeOf(id: string): string {
  return `host_invitation/${id}/secrets`;
}

/** Sealed again when the master key is rotated. */
export const sealedInvitations = sealedColumn<{ id: string }>({
  table: 'host_invitation',
  column: 'secrets',
  keyId: 'key_id',
  recorded: false,
  boundTo: ['id'],
  place: ({ id }) => placeOf(id),
});
