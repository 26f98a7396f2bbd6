import type { Queryable } from './connection.ts';

/** Whether the schema has a table: during an upgrade it may be that of an earlier release still. */
export async function hasTable(q: Queryable, name: string): Promise<boolean> {
  const [row] = await q<{ present: boolean }[]>`select to_regclass(${name}) is not null as present`;
  return row?.present === true;
}
