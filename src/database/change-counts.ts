/**
 * How often tables were written, by PostgreSQL's own statistics: a look at a few numbers in memory, however large the tables
 * are. A session tells its numbers at the end of a transaction, or ten seconds later if it told others within the last one.
 */
import type { Queryable } from './connection.ts';

/**
 * By name; a table that the schema has not yet is not among them.
 * @param idly of these, updates that change no indexed column do not count
 */
export async function countChanges(
  q: Queryable,
  tables: readonly string[],
  idly: readonly string[] = [],
): Promise<ReadonlyMap<string, string>> {
  const rows = await q<{ name: string; count: string }[]>`
    select n.name, (pg_stat_get_tuples_inserted(r.id) + pg_stat_get_tuples_deleted(r.id) + pg_stat_get_tuples_updated(r.id)
                    - case when n.name = any(${idly as string[]}) then pg_stat_get_tuples_hot_updated(r.id) else 0 end)::text as count
      from unnest(${tables as string[]}::text[]) n(name), lateral (select to_regclass(n.name)::oid as id) r
     where r.id is not null`;
  return new Map(rows.map(({ name, count }) => [name, count]));
}
