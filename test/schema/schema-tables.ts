/** The tables of the schema with their columns, but for the migrator's own: every file of `sql/` is written into that. */
import type { Queryable } from '../../src/database/connection.ts';
import type { Tables } from './query-parts.ts';

export async function readTables(q: Queryable): Promise<Tables> {
  const columns = await q<{ table: string; column: string }[]>`
    select t.tablename as table, c.column_name as column
      from pg_tables t join information_schema.columns c on c.table_schema = t.schemaname and c.table_name = t.tablename
     where t.schemaname = 'public' and t.tablename <> 'migration'`;
  const byTable = Map.groupBy(columns, ({ table }) => table);
  return new Map([...byTable].map(([table, rows]) => [table, new Set(rows.map(({ column }) => column))]));
}
