/** The time of the database, which all hosts share: the clock of one of them may be wrong, and what it issues then not valid elsewhere. */
import type { Queryable } from './connection.ts';

/** At this moment, also in a transaction. */
export async function databaseTime(q: Queryable): Promise<Date> {
  const [row] = await q<{ now: Date }[]>`select clock_timestamp() as now`;
  return row?.now ?? new Date();
}
