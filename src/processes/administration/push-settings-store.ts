/** The push settings in the database: those of the wake service whose setting is `push`, which REST calls `/push`. */
import type { Queryable, Transaction } from '../../database/connection.ts';
import { openValue, sealValue } from '../../database/sealed-value.ts';
import { readSetting, writeSetting } from '../../domain/settings.ts';
import type { StoredWakeSettings, WakeSettings, WakeSettingsRules } from '../../platforms/waking.ts';
import type { AdministrationContext } from './context.ts';

interface PushSettingsStore {
  readonly rules: WakeSettingsRules;
  /** As stored, without the key itself. */
  readStored(q: Queryable): Promise<StoredWakeSettings>;
  /** @throws BrambleError ERR_MASTER_KEY or ERR_SEALED_VALUE when the key cannot be opened. */
  read(q: Queryable): Promise<WakeSettings>;
  write(tx: Transaction, settings: WakeSettings): Promise<void>;
}

const pushSetting = 'push';

/** @throws TypeError if no platform has such a wake service */
export function pushSettingsStore({
  platforms,
  masterKeys: keys,
}: Pick<AdministrationContext, 'platforms' | 'masterKeys'>): PushSettingsStore {
  const rules = platforms.all
    .map(({ wakeService }) => wakeService.settings)
    .find((settings) => settings?.key === pushSetting);
  if (rules === undefined) throw new TypeError('/push is the resource of a wake service that no platform has');
  const readStored = async (q: Queryable) => await readSetting(q, rules.key, rules.stored);
  return {
    rules,
    readStored,
    read: async (q) =>
      rules.unseal(await readStored(q), (place, ciphertext, keyId) => openValue(keys, place, ciphertext, keyId)),
    write: async (tx, settings) => {
      const { privateKeyPem, ...rest } = settings;
      if (privateKeyPem === undefined) {
        await writeSetting(tx, rules.key, rest);
        return;
      }
      const { ciphertext, keyId } = sealValue(keys, rules.keyPlace, Buffer.from(privateKeyPem));
      const privateKey = { ciphertext: ciphertext.toString('base64'), keyId };
      await writeSetting(tx, rules.key, { ...rest, privateKey });
    },
  };
}
