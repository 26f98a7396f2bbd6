/** The shared secrets of second factors, sealed again when the master key is rotated. */
import { sealedColumn } from '../../database/sealed-place.ts';

export const totpPlace = ({ id }: { id: string }): string => `administrator/${id}/totp`;

export const sealedTotp = sealedColumn<{ id: string }>({
  table: 'administrator',
  column: 'totp',
  keyId: 'totp_key',
  recorded: true,
  boundTo: ['id'],
  place: totpPlace,
});
