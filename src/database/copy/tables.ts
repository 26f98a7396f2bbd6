/**
 * What a database holds, from its catalog: tables with their columns, parents before children, and sequences. Nothing here
 * knows a table by name, so none can be forgotten.
 */
import { BrambleError } from '../../base/errors.ts';
import type { Queryable } from '../connection.ts';
import { quoted } from '../roles/rights-in-force.ts';

export interface Table {
  readonly name: string;
  /** Those that hold data, in their order; generated ones follow from them. */
  readonly columns: readonly string[];
}

export interface SizedTable extends Table {
  /** On the disk, without indexes: a measure of how far a copy is. */
  readonly sizeBytes: number;
}

export interface SequenceValue {
  readonly name: string;
  /** A bigint. */
  readonly value: string;
  /** Whether the value was given out. */
  readonly called: boolean;
}

/** Every table of the schema, those first that others refer to. @throws BrambleError ERR_DATABASE for a circle */
export async function listTables(q: Queryable): Promise<SizedTable[]> {
  const tables = await q<SizedTable[]>`
    select c.relname as name, pg_table_size(c.oid)::float8 as "sizeBytes",
           array(select a.attname::text from pg_attribute a
                  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
                  order by a.attnum) as columns
      from pg_class c
     where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
     order by c.relname`;
  const references = await q<{ child: string; parent: string }[]>`
    select c.relname as child, p.relname as parent
      from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class p on p.oid = k.confrelid
     where k.contype = 'f' and c.relnamespace = current_schema()::regnamespace and c.oid <> p.oid`;
  const ordered: SizedTable[] = [];
  let left = [...tables];
  while (left.length > 0) {
    const names = new Set(left.map((table) => table.name));
    const waits = (table: Table) => references.some(({ child, parent }) => child === table.name && names.has(parent));
    const next = left.filter((table) => !waits(table));
    if (next.length === 0) throw new BrambleError('ERR_DATABASE', `The tables ${[...names].join(', ')} form a circle.`);
    ordered.push(...next);
    left = left.filter((table) => !next.includes(table));
  }
  return ordered;
}

/** How far each sequence is. Read after the rows: a number may be skipped, but none is given out twice. */
export async function listSequenceValues(q: Queryable): Promise<SequenceValue[]> {
  const rows = await q<{ name: string }[]>`
    select relname as name from pg_class
     where relnamespace = current_schema()::regnamespace and relkind = 'S' order by relname`;
  const values: SequenceValue[] = [];
  for (const { name } of rows) {
    const [row] = await q.unsafe<{ value: string; called: boolean }[]>(
      `select last_value::text as value, is_called as called from ${quoted(name)}`,
    );
    if (row !== undefined) values.push({ name, ...row });
  }
  return values;
}

/** `"device" ("id", "token")` */
export function columnsOf({ name, columns }: Table): string {
  return `${quoted(name)} (${columns.map(quoted).join(', ')})`;
}
