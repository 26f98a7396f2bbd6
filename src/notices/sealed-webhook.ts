/** A webhook's URL and key as the database holds them: sealed, and bound to the target's row. */
import { type SealedPlace, sealedAgain } from '../database/sealed-place.ts';
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

/** Sealed again when the master key is rotated. Few rows. */
export const sealedWebhooks: SealedPlace = {
  name: 'notice_target.sealed',
  recorded: true,
  count: async (q) =>
    await q<{ keyId: string; count: number }[]>`
      select key_id as "keyId", count(*)::int as count from notice_target where sealed is not null group by 1`,
  sealAgain: async (tx, keys) => {
    const rows = await tx<{ id: string; ciphertext: Buffer; keyId: string }[]>`
      select id, sealed as ciphertext, key_id as "keyId" from notice_target
       where sealed is not null and key_id <> ${keys.current}`;
    for (const row of rows) {
      const { ciphertext, keyId } = sealedAgain(keys, placeOf(row.id), row);
      await tx`
        update notice_target set sealed = ${ciphertext}, key_id = ${keyId}
         where id = ${row.id} and sealed = ${row.ciphertext}`;
    }
    return null;
  },
};
