/** The push settings in the database. */
import type { Queryable, Transaction } from '../../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../../database/sealed-value.ts';
import { readSetting, writeSetting } from '../../domain/settings.ts';
import {
  type PushSettings,
  pushKeyPlace,
  pushSettingsKey,
  type StoredPushSettings,
  storedPushSettingsSchema,
  unsealPushSettings,
} from '../../platforms/apple/push-settings.ts';

/** As stored, without the key itself. */
export async function readStoredPushSettings(q: Queryable): Promise<StoredPushSettings> {
  return await readSetting(q, pushSettingsKey, storedPushSettingsSchema);
}

/** @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE when the key cannot be opened. */
export function openPushSettings(keys: MasterKeys, stored: StoredPushSettings): PushSettings {
  return unsealPushSettings(stored, (place, ciphertext, keyId) => openValue(keys, place, ciphertext, keyId));
}

export async function writePushSettings(tx: Transaction, keys: MasterKeys, settings: PushSettings): Promise<void> {
  const { privateKeyPem, ...rest } = settings;
  if (privateKeyPem === undefined) {
    await writeSetting(tx, pushSettingsKey, rest);
    return;
  }
  const { ciphertext, keyId } = sealValue(keys, pushKeyPlace, Buffer.from(privateKeyPem));
  await writeSetting(tx, pushSettingsKey, {
    ...rest,
    privateKey: { ciphertext: ciphertext.toString('base64'), keyId },
  });
}
