/** The push client for the settings in force: when they change, a new one takes over. */
import { createBell } from '../../base/bell.ts';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database } from '../../database/connection.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import { createPushClient, type PushClient, pushSettingsSchema } from '../../platforms/apple/push.ts';
import { openPushSettings, readStoredPushSettings } from '../../platforms/apple/push-settings.ts';
import type { Logger } from '../../process/log/logger.ts';

export interface FollowingPush {
  /** Always the client of the settings in force. */
  client: Pick<PushClient, 'push' | 'pausedForMs'>;
  /** Takes changed settings up until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** After a failure. */
const againMs = 2000;

export function createFollowingPush(db: Database, keys: MasterKeys, log: Logger): FollowingPush {
  let inForce = '';
  let current = createPushClient({ settings: pushSettingsSchema.parse({}), clock: systemClock, log });
  const follow = async () => {
    const stored = await readStoredPushSettings(db);
    if (JSON.stringify(stored) === inForce) return;
    const before = current;
    current = createPushClient({ settings: openPushSettings(keys, stored), clock: systemClock, log });
    inForce = JSON.stringify(stored);
    await before.close();
  };
  return {
    client: {
      push: (...args) => current.push(...args),
      pausedForMs: () => current.pausedForMs(),
    },
    async run(signal) {
      const bell = createBell();
      const listening = await ringAtChanges(db, ['setting'], bell);
      while (!signal.aborted) {
        let restMs = lateLookMs;
        await follow().catch((error: unknown) => {
          restMs = againMs;
          log.warn({ reason: messageOf(error) }, 'push settings were not read');
        });
        await bell.rest(restMs, signal);
      }
      await listening.unlisten();
    },
    close: () => current.close(),
  };
}
