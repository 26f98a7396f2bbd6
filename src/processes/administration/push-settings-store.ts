/** The push settings in the database: those of the wake service whose setting is `push`, which REST calls `/push`. */
import type { Queryable, Transaction } from '../../database/connection.ts';
import { type SealedPlace, sealedAgain } from '../../database/sealed-place.ts';
import { openValue, sealValue } from '../../database/sealed-value.ts';
import { lockSetting, readSetting, writeSetting } from '../../domain/settings.ts';
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
  const rules = pushRules(platforms);
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

function pushRules(platforms: AdministrationContext['platforms']): WakeSettingsRules {
  const rules = platforms.all
    .map(({ wakeService }) => wakeService.settings)
    .find((settings) => settings?.key === pushSetting);
  if (rules === undefined) throw new TypeError('/push is the resource of a wake service that no platform has');
  return rules;
}

/** The push certificate's key, sealed again when the master key is rotated. The setting is locked: it is rewritten whole. */
export function sealedPushKey(platforms: AdministrationContext['platforms']): SealedPlace {
  const rules = pushRules(platforms);
  return {
    name: `setting/${rules.key}`,
    recorded: true,
    count: async (q) => {
      const { privateKey } = await readSetting(q, rules.key, rules.stored);
      return privateKey === undefined ? [] : [{ keyId: privateKey.keyId, count: 1 }];
    },
    sealAgain: async (tx, keys) => {
      await lockSetting(tx, rules.key);
      const stored = await readSetting(tx, rules.key, rules.stored);
      if (stored.privateKey === undefined || stored.privateKey.keyId === keys.current) return null;
      const { ciphertext, keyId } = sealedAgain(keys, rules.keyPlace, {
        ciphertext: Buffer.from(stored.privateKey.ciphertext, 'base64'),
        keyId: stored.privateKey.keyId,
      });
      const privateKey = { ciphertext: ciphertext.toString('base64'), keyId };
      await writeSetting(tx, rules.key, { ...stored, privateKey });
      return null;
    },
  };
}
