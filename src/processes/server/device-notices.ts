/**
 * Notices to operators about single devices, as an event and in the log. A device that repeats itself, or is made to,
 * is reported once an hour per kind, and all devices together at most `noticesAMinute`: no device can fill the domain's
 * log. The memory used for this is bounded; the oldest entries go first.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { type Clock, hasPassed } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { DeviceId } from '../../base/ids.ts';
import type { Database } from '../../database/connection.ts';
import { recordEvent } from '../../domain/events.ts';
import type { Logger } from '../../process/log/logger.ts';

export interface DeviceNotices {
  /** Returns at once; write failures are logged. `message` is a sentence that names the device. */
  note(kind: string, deviceId: DeviceId, message: string): void;
  /** Resolves when nothing is being written. */
  settled(): Promise<void>;
}

const againAfterMs = 60 * 60 * 1000;
const noticesAMinute = 60;
const maxRemembered = 10_000;

export function createDeviceNotices(parts: { db: Database; log: Logger; clock: Clock }): DeviceNotices {
  const { db, log, clock } = parts;
  const notedAt = new BoundedMap<string, number>(maxRemembered);
  const writing = new Set<Promise<void>>();
  let minute = { startedAt: 0, count: 0 };

  return {
    note(kind, deviceId, message) {
      const now = clock.now();
      const key = `${kind} ${deviceId}`;
      if (!hasPassed(clock, notedAt.get(key) ?? Number.NEGATIVE_INFINITY, againAfterMs)) return;
      if (hasPassed(clock, minute.startedAt, 60_000)) minute = { startedAt: now, count: 0 };
      minute.count += 1;
      if (minute.count > noticesAMinute) return;
      notedAt.set(key, now);
      log.warn({ kind, deviceId }, message);
      const write = recordEvent(db, { kind, subject: deviceId, message })
        .catch((error: unknown) => log.warn({ kind, reason: messageOf(error) }, 'an event could not be written'))
        .finally(() => writing.delete(write));
      writing.add(write);
    },
    async settled() {
      await Promise.all(writing);
    },
  };
}
