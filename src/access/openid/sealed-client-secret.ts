/**
 * Secrets of clients at OpenID providers as the database holds them. Invariant: one is sealed for its issuer, so whoever points the
 * row elsewhere does not have it sent there.
 */
import { sealedColumn } from '../../database/sealed-place.ts';
import { type MasterKeys, openValue, sealValue } from '../../database/sealed-value.ts';

interface Bound {
  name: string;
  issuer: string;
}

const placeOf = ({ name, issuer }: Bound): string => `openid_provider/${name}/${issuer}/secret`;

export function sealClientSecret(keys: MasterKeys, provider: Bound, secret: string) {
  const { ciphertext, keyId } = sealValue(keys, placeOf(provider), Buffer.from(secret));
  return { secret: ciphertext, keyId };
}

/** @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE when it cannot be opened */
export function openClientSecret(
  keys: MasterKeys,
  provider: Bound & { secret: Buffer | null; keyId: string | null },
): string | null {
  const { secret, keyId } = provider;
  return secret === null || keyId === null ? null : openValue(keys, placeOf(provider), secret, keyId).toString();
}

/** Sealed again when the master key is rotated. */
export const sealedClientSecrets = sealedColumn<Bound>({
  table: 'openid_provider',
  column: 'secret',
  keyId: 'key_id',
  recorded: true,
  boundTo: ['name', 'issuer'],
  place: placeOf,
});
