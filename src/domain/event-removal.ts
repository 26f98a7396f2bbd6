/** Old events are removed by the administration, which has the right to; those who write events do not need it. */
import type { Queryable } from '../database/connection.ts';

/**
 * Removes events older than this among the `limit` first ones; returns how many. Primary key: ids and times rise together,
 * but for transactions at the same time.
 */
export async function removeEvents(q: Queryable, olderThanDays: number, limit: number): Promise<number> {
  const { count } = await q`
    delete from event where id = any(array(
      select first.id from (select id, at from event order by id limit ${limit}) first
       where first.at < now() - make_interval(days => ${olderThanDays})))`;
  return count;
}
