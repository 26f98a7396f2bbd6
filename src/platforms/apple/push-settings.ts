/**
 * The stored form of the push settings: the push certificate's key lies sealed under the master key.
 * Invariant: the key stands nowhere in the database, or in an answer, in the clear.
 */
import * as z from 'zod';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../../database/sealed-value.ts';
import { readSetting, writeSetting } from '../../domain/settings.ts';
import { type PushSettings, pushSettingsSchema } from './push.ts';

const settingKey = 'push';
const place = 'setting/push/privateKeyPem';

export const storedPushSettingsSchema = pushSettingsSchema.omit({ privateKeyPem: true }).extend({
  /** Base64 of the sealed PEM. */
  privateKey: z.object({ ciphertext: z.base64(), keyId: z.string() }).optional(),
});
export type StoredPushSettings = z.output<typeof storedPushSettingsSchema>;

/** Until the transaction ends nobody else changes them, or the topic: locks the domain's row. */
export async function lockPushSettings(tx: Transaction): Promise<void> {
  await tx`select 1 from domain for update`;
}

/** As stored, without the key itself. */
export async function readStoredPushSettings(q: Queryable): Promise<StoredPushSettings> {
  return await readSetting(q, settingKey, storedPushSettingsSchema);
}

/** @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE when the key cannot be opened. */
export function openPushSettings(keys: MasterKeys, stored: StoredPushSettings): PushSettings {
  const { privateKey, ...settings } = stored;
  if (privateKey === undefined) return settings;
  const pem = openValue(keys, place, Buffer.from(privateKey.ciphertext, 'base64'), privateKey.keyId);
  return { ...settings, privateKeyPem: pem.toString('utf8') };
}

export async function writePushSettings(tx: Transaction, keys: MasterKeys, settings: PushSettings): Promise<void> {
  const { privateKeyPem, ...rest } = settings;
  if (privateKeyPem === undefined) {
    await writeSetting(tx, settingKey, rest);
    return;
  }
  const { ciphertext, keyId } = sealValue(keys, place, Buffer.from(privateKeyPem));
  await writeSetting(tx, settingKey, { ...rest, privateKey: { ciphertext: ciphertext.toString('base64'), keyId } });
}
