/** A webhook's URL and key as the database holds them: sealed, and bound to the target's row. */
import { sealedColumn } from '../database/sealed-place.ts';
import { type MasterKeys, openValue, sealValue } from '../database/sealed-value.ts';
import { type Webhook, webhookShape } from './webhook.ts';

export function sealWebhook(keys: MasterKeys, id: string, webhook: Webhook): { sealed: Buffer; keyId: string } {
  const { ciphertext, keyId } = sealValue(keys, placeOf(id), Buffer.from(JSON.stringify(webhook)));
  return { sealed: ciphertext, keyId };
}

/** @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE when it cannot be opened */
export function openWebhook(keys: MasterKeys, id: string, sealed: Buffer, keyId: string): Webhook {
  return webhookShape.parse(JSON.parse(openValue(keys, placeOf(id), sealed, keyId).toString()));
}

function placeOf(id: string): string {
  return `notice_target/${id}/sealed`;
}

/** Sealed again when the master key is rotated. */
export const sealedWebhooks = sealedColumn<{ id: string }>({
  table: 'notice_target',
  column: 'sealed',
  keyId: 'key_id',
  recorded: true,
  boundTo: ['id'],
  place: ({ id }) => placeOf(id),
});
