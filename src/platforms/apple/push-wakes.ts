/** Wakes devices through Apple's push service with the current settings: when they change, a new client takes over. */
import type { PushOutcome } from '../../protocol/apns/push.ts';
import type { WakeOutcome, WakeService } from '../waking.ts';
import { createPushClient } from './push.ts';
import { certificateFacts, inspectPushCertificate } from './push-certificate.ts';
import {
  pushKeyPlace,
  pushSettingsKey,
  pushSettingsSchema,
  storedPushSettingsSchema,
  unsealPushSettings,
} from './push-settings.ts';

export const pushService: WakeService = {
  settings: {
    key: pushSettingsKey,
    keyPlace: pushKeyPlace,
    given: pushSettingsSchema.strict(),
    stored: storedPushSettingsSchema,
    unseal: unsealPushSettings,
    inspect: inspectPushCertificate,
    facts: certificateFacts,
  },
  open: ({ log, clock, readSetting, openSealed }) => {
    let inForce = '';
    let current = createPushClient({ settings: pushSettingsSchema.parse({}), clock, log });
    return {
      wake: async ({ token, secret, channel }, signal) =>
        wakeOutcome(await current.push({ token, pushMagic: secret, topic: channel }, signal)),
      pausedForMs: () => current.pausedForMs(),
      async refresh() {
        const stored = storedPushSettingsSchema.parse(await readSetting(pushSettingsKey));
        if (JSON.stringify(stored) === inForce) return;
        const before = current;
        current = createPushClient({ settings: unsealPushSettings(stored, openSealed), clock, log });
        inForce = JSON.stringify(stored);
        await before.close();
      },
      close: () => current.close(),
    };
  },
};

/** An unregistered or bad token is useless until the device's next TokenUpdate. */
function wakeOutcome(pushed: PushOutcome): WakeOutcome {
  switch (pushed.outcome) {
    case 'sent':
    case 'rejected':
      return pushed;
    case 'unregistered':
    case 'bad-token':
      return { outcome: 'address-gone', reason: pushed.reason };
    case 'retry-later':
      return { outcome: 'later', reason: pushed.reason };
  }
}
