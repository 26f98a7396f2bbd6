/**
 * What the SQL of a file does to the tables of the schema, as far as its text shows it. A part of a statement may name an alias that
 * only another one explains: then it is what that alias means elsewhere in the file.
 */
import { aliasesOf, locksIn, namesIn } from './query-names.ts';
import { allQueries, type Query, queriesOf, type Tables } from './query-parts.ts';
import { sqlTextsOf } from './sql-texts.ts';

export interface TableUse {
  readonly table: string;
  readonly kind: 'writes' | 'locks' | 'reads';
  /** Of a read: `*` is the whole row, and '' that there is one. */
  readonly column: string;
}

/** The queries of a file's statements, by the order in which they end. */
export function queriesIn(source: string, tables: Tables): Query[] {
  return sqlTextsOf(source).flatMap((text) => allQueries(queriesOf(text, tables)));
}

export function tablesUsed(source: string, tables: Tables): TableUse[] {
  const queries = queriesIn(source, tables);
  const aliases = aliasesOf(queries);
  const uses: TableUse[] = [];
  for (const query of queries) {
    for (const { table, changed } of query.relations) {
      if (table !== undefined) uses.push({ table, kind: changed ? 'writes' : 'reads', column: '' });
    }
    for (const table of locksIn(query)) uses.push({ table, kind: 'locks', column: '' });
    for (const { alias, column, tables: found } of namesIn(query, tables)) {
      const meant = found ?? [...(aliases.get(alias ?? '') ?? [])];
      for (const table of meant) {
        if (column === '*' || tables.get(table)?.has(column)) uses.push({ table, kind: 'reads', column });
      }
    }
  }
  return uses;
}
