/**
 * Time stamps in rows, as the database's clock wrote them. It may have been ahead for a while: such time stamps are in
 * the future, and waiting for them would block work for as long as the clock was off.
 */
import type { Queryable, SqlFragment } from './connection.ts';

/** Whether the stamp was written by a clock that was ahead: corrections of up to a minute are normal. Null for null. */
export function isAhead(q: Queryable, at: SqlFragment): SqlFragment {
  return q`(${at} > statement_timestamp() + interval '1 minute')`;
}

/** Whether more than so many seconds have passed since, or nobody can tell how many. Null for null. */
export function isLongerAgo(q: Queryable, at: SqlFragment, seconds: number | SqlFragment): SqlFragment {
  return q`(${at} < statement_timestamp() - make_interval(secs => ${seconds}) or ${isAhead(q, at)})`;
}
