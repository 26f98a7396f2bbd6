/** For tests: knowing that a statement waits for a lock, without guessing how long that takes. */
import type { Database } from './connection.ts';

/**
 * Returns true when a session of this database waits for a lock (of `applicationName` where it is given), or false when
 * `settled` says that none will.
 */
export async function untilOneWaits(
  db: Database,
  settled: () => boolean = () => false,
  applicationName: string | null = null,
): Promise<boolean> {
  while (!settled()) {
    const waiting = await db`
      select from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'
         and (${applicationName}::text is null or application_name = ${applicationName})`;
    if (waiting.length > 0) return true;
  }
  return false;
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
