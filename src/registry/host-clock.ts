/** How far a host's clock differs from the database's, which decides about leases and the order of things. */
import type { Queryable } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';

/**
 * Milliseconds that the clock is certainly ahead of the database's, negative if it is behind. The database's was read
 * some time between question and answer, so a difference within that time is none.
 */
export async function readClockAheadMs(q: Queryable, now: () => number = Date.now): Promise<number> {
  const asked = now();
  const there = (await databaseTime(q)).getTime();
  const answered = now();
  if (there < asked) return asked - there;
  return Math.min(0, answered - there);
}
