/** The push client for the settings in force: when they change, a new one takes over. */
import { systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Database } from '../database/connection.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import { createPushClient, type PushClient, pushSettingsSchema } from '../policy/push.ts';
import { openPushSettings, readStoredPushSettings } from '../policy/push-settings.ts';
import type { Logger } from '../process/logger.ts';

export interface FollowingPush {
  /** Always the client of the settings in force. */
  client: Pick<PushClient, 'push' | 'pausedForMs'>;
  /** Looks for changed settings every two seconds until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

const intervalMs = 2000;

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
      while (!signal.aborted) {
        await follow().catch((error: unknown) => log.warn({ reason: messageOf(error) }, 'push settings were not read'));
        await systemClock.sleep(intervalMs, signal).catch(() => {});
      }
    },
    close: () => current.close(),
  };
}
