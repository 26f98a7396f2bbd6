/** Looks for conditions from time to time until it is told to stop; a failure is logged, and the next look is taken. */
import { type Clock, systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { lateLookMs } from '../database/change-notices.ts';
import type { Database } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';
import { type Look, tellConditions } from './conditions.ts';

interface LookOut {
  db: Database;
  looks: readonly Look[];
  /** Of an administration service: once it is fenced, it tells nothing. */
  release?: string;
  log: { warn(fields: object, message: string): void };
  signal: AbortSignal;
  clock?: Pick<Clock, 'sleep'>;
}

export async function lookOut({ db, looks, release, log, signal, clock = systemClock }: LookOut): Promise<void> {
  while (!signal.aborted) {
    try {
      // The coordinator is at work before the schema of its release is.
      if (await hasTable(db, 'notice_condition')) {
        const failed = ({ kind }: Look, error: unknown) =>
          log.warn({ condition: kind, error: messageOf(error) }, 'a condition was not looked at; will retry');
        await tellConditions(db, looks, failed, release);
      }
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'conditions were not looked at; will retry');
    }
    await clock.sleep(lateLookMs, signal).catch(() => {});
  }
}
