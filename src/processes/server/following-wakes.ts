/** The wake services of all platforms, each opened once, following the domain's settings. */

import * as z from 'zod';
import { createBell } from '../../base/bell.ts';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { takeTurns } from '../../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database } from '../../database/connection.ts';
import { type MasterKeys, openValue } from '../../database/sealed-value.ts';
import { readSetting } from '../../domain/settings.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { WakeClient, WakeService } from '../../platforms/waking.ts';
import type { Logger } from '../../process/log/logger.ts';

export interface FollowingWakes {
  /** By platform. */
  readonly clients: ReadonlyMap<string, WakeClient>;
  /** Applies changed settings until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** After a failure. */
const againMs = 2000;

export function createFollowingWakes(parts: {
  db: Database;
  keys: MasterKeys;
  platforms: Platforms;
  log: Logger;
}): FollowingWakes {
  const { db, keys, platforms, log } = parts;
  const opened = new Map<WakeService, WakeClient>();
  const clients = new Map<string, WakeClient>();
  for (const { name, wakeService } of platforms.all) {
    const client =
      opened.get(wakeService) ??
      wakeService.open({
        log,
        clock: systemClock,
        readSetting: (key) => readSetting(db, key, z.unknown()),
        openSealed: (place, ciphertext, keyId) => openValue(keys, place, ciphertext, keyId),
      });
    opened.set(wakeService, client);
    clients.set(name, client);
  }
  return {
    clients,
    async run(signal) {
      const bell = createBell();
      const listening = await ringAtChanges(db, ['setting'], bell);
      await takeTurns(bell, signal, async () => {
        let restMs = lateLookMs;
        for (const client of opened.values()) {
          await client.refresh().catch((error: unknown) => {
            restMs = againMs;
            log.warn({ reason: messageOf(error) }, 'the settings for waking devices were not read');
          });
        }
        return restMs;
      });
      await listening.unlisten();
    },
    async close() {
      await Promise.all([...opened.values()].map((client) => client.close()));
    },
  };
}
