/** For tests: knowing that a statement waits for a lock, without guessing how long that takes. */
import { until } from '../testing/condition.ts';
import type { Database } from './connection.ts';

/**
 * Returns true when a session of this database waits for a lock (of `applicationName` where it is given), or false when
 * `settled` says that none will.
 * @throws Error when neither comes about within a minute.
 */
export async function untilOneWaits(
  db: Database,
  settled: () => boolean = () => false,
  applicationName: string | null = null,
): Promise<boolean> {
  let waits = false;
  await until(
    `a session${applicationName === null ? '' : ` of ${applicationName}`} waits for a lock`,
    60_000,
    async () => {
      const waiting = await db`
      select from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'
         and (${applicationName}::text is null or application_name = ${applicationName})`;
      waits = waiting.length > 0;
      return waits || settled();
    },
  );
  return waits;
}

/** The promise with a way to ask whether it has settled; its rejection is reported where `result` is awaited. */
export function watched<Value>(result: Promise<Value>): { result: Promise<Value>; settled: () => boolean } {
  let settled = false;
  const mark = () => {
    settled = true;
  };
  result.then(mark, mark);
  return { result, settled: () => settled };
}
