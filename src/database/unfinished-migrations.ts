/** What an interrupted migration left: it goes on when the next upgrade expands the schema, before that one's own. */
import type { Queryable } from './connection.ts';

interface UnfinishedMigrations {
  /** Applied, their backfill begun or not, and not at its end: `007-name`. */
  readonly backfills: string[];
  /** Half-built indexes, which serve no query and are maintained by every write. */
  readonly indexes: string[];
}

export async function listUnfinishedMigrations(q: Queryable): Promise<UnfinishedMigrations> {
  const backfills = await q<{ name: string }[]>`
    select lpad(number::text, 3, '0') || '-' || name as name from migration where backfilled_at is null order by number`;
  const indexes = await q<{ name: string }[]>`
    select i.indexrelid::regclass::text as name from pg_index i join pg_class c on c.oid = i.indexrelid
     where not i.indisvalid and c.relnamespace = current_schema()::regnamespace
       and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid) order by 1`;
  return { backfills: backfills.map(({ name }) => name), indexes: indexes.map(({ name }) => name) };
}
