/** The push settings in the database. */
import type { Queryable, Transaction } from '../../database/connection.ts';
import { type MasterKeys, openValue, sealValue } from '../../database/sealed-value.ts';
import { readSetting, writeSetting } from '../../domain/settings.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import type { StoredWakeSettings, WakeSettings, WakeSettingsRules } from '../../platforms/waking.ts';

/** Of the one wake service of this release that has settings; its resource is `/push`. */
export const pushRules = settingsRules();

function settingsRules(): WakeSettingsRules {
  const [rules, ...others] = new Set(registeredPlatforms.all.flatMap(({ wakeService }) => wakeService.settings ?? []));
  if (rules === undefined || others.length > 0)
    throw new TypeError('/push is the resource of exactly one wake service');
  return rules;
}

/** As stored, without the key itself. */
export async function readStoredPushSettings(q: Queryable): Promise<StoredWakeSettings> {
  return await readSetting(q, pushRules.key, pushRules.stored);
}

/** @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE when the key cannot be opened. */
export function openPushSettings(keys: MasterKeys, stored: StoredWakeSettings): WakeSettings {
  return pushRules.unseal(stored, (place, ciphertext, keyId) => openValue(keys, place, ciphertext, keyId));
}

export async function writePushSettings(tx: Transaction, keys: MasterKeys, settings: WakeSettings): Promise<void> {
  const { privateKeyPem, ...rest } = settings;
  if (privateKeyPem === undefined) {
    await writeSetting(tx, pushRules.key, rest);
    return;
  }
  const { ciphertext, keyId } = sealValue(keys, pushRules.keyPlace, Buffer.from(privateKeyPem));
  await writeSetting(tx, pushRules.key, {
    ...rest,
    privateKey: { ciphertext: ciphertext.toString('base64'), keyId },
  });
}
