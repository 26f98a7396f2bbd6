/**
 * Which literals the SQL of a file compares a column with or writes into it, and which column that is. The results of a query
 * within another one are followed to the columns, or literals, that they come from.
 */
import { aliasesOf, type Name, namesIn, placeOf } from './query-names.ts';
import { isMark, isWord, type Query, type Relation, relationOf, type Tables, type Token } from './query-parts.ts';
import { hole } from './sql-texts.ts';
import { queriesIn } from './table-use.ts';

/** In place of a column: what a function makes of values that the program hands in, such as `unnest`. */
export const given = 'given';

export interface LiteralUse {
  readonly column: string;
  readonly literal: string;
  /** `table.column`, `'literal'` of a query's result, or {@link given}; none where the text does not show it. */
  readonly sources: readonly string[];
}

/** @param room the sources of which parts may stand in the same statements */
export function literalsUsed(source: string, tables: Tables, room: readonly string[] = [source]): LiteralUse[] {
  const queries = queriesIn(source, tables);
  const named = room.flatMap((text) => queriesIn(text, tables)).flatMap((query) => [...query.named]);
  const elsewhere = { aliases: aliasesOf(queries), named: new Map(named) };
  return queries.flatMap((query) => [
    ...namesIn(query, tables).flatMap((name) => {
      const literals = comparedWith(query.tokens, name);
      if (literals.length === 0) return [];
      const sources = [...sourcesOf(name, tables, elsewhere)];
      return literals.map((literal) => ({ column: name.column, literal, sources }));
    }),
    ...writtenBy(query),
  ]);
}

/** `name = 'a'`, `name in ('a', 'b')`, `'a' = name`, `case name when 'a' …`. */
function comparedWith(tokens: readonly Token[], { at, alias }: Name): string[] {
  const start = alias === undefined ? at : at - 2;
  const next = tokens[at + 1];
  if (isMark(next, '=', '<>', '!=')) return textsOf(tokens[at + 2]);
  if (isWord(next, 'in') || (isWord(next, 'not') && isWord(tokens[at + 2], 'in'))) return listFrom(tokens, at + 2);
  if (isWord(next, 'is')) {
    const from = tokens.findIndex((token, index) => index > at && index <= at + 4 && isWord(token, 'from'));
    return from < 0 ? [] : textsOf(tokens[from + 1]);
  }
  if (isWord(tokens[start - 1], 'case')) return inCase(tokens, at + 1, 'when');
  if (isMark(tokens[start - 1], '=', '<>')) return textsOf(tokens[start - 2]);
  return [];
}

const textsOf = (token: Token | undefined): string[] => (token?.kind === 'text' ? [token.text] : []);

function listFrom(tokens: readonly Token[], from: number): string[] {
  const end = tokens.findIndex((token, index) => index > from && isMark(token, ')'));
  return tokens.slice(from, end).flatMap(textsOf);
}

/** The literals behind `when`, or behind `then` and `else`, of the `case` that has just begun. */
function inCase(tokens: readonly Token[], from: number, ...behind: string[]): string[] {
  const literals: string[] = [];
  let depth = 1;
  for (let at = from; at < tokens.length && depth > 0; at += 1) {
    if (isWord(tokens[at], 'case')) depth += 1;
    if (isWord(tokens[at], 'end')) depth -= 1;
    if (depth === 1 && isWord(tokens[at], ...behind)) literals.push(...textsOf(tokens[at + 1]));
  }
  return literals;
}

/** What an expression can be, as far as it is a literal, or a `case` of literals. */
function valuesOf(tokens: readonly Token[]): string[] {
  if (isWord(tokens[0], 'case')) return inCase(tokens, 1, 'then', 'else');
  const next = tokens[1];
  return next === undefined || isMark(next, '::', ',', ')') || next.kind === 'word' ? textsOf(tokens[0]) : [];
}

function writtenBy(query: Query): LiteralUse[] {
  const { tokens, assigned, inserted } = query;
  const table = query.relations.find(({ changed }) => changed)?.table;
  const use = (column: Token | undefined, literals: readonly string[]) =>
    literals.map((literal) => ({
      column: column?.text ?? '',
      literal,
      sources: table === undefined ? [] : [`${table}.${column?.text}`],
    }));
  const set = assigned.flatMap((column) => use(column, valuesOf(tokens.slice(tokens.indexOf(column) + 2))));
  const start = tokens.findIndex((token) => isWord(token, 'values', 'select'));
  if (inserted.length === 0 || start < 0) return set;
  const items = itemsFrom(tokens, isWord(tokens[start], 'values') ? start + 2 : start + 1);
  return [...set, ...inserted.flatMap((column, index) => use(column, valuesOf(items[index] ?? [])))];
}

/** Of a list, up to its end. */
function itemsFrom(tokens: readonly Token[], from: number): Token[][] {
  const items: Token[][] = [[]];
  let depth = 0;
  for (let at = from; at < tokens.length; at += 1) {
    const token = tokens[at] as Token;
    if (isMark(token, '(')) depth += 1;
    if (isMark(token, ')')) depth -= 1;
    if (depth < 0 || (depth === 0 && isWord(token, 'from', 'where', 'group', 'order', 'limit'))) break;
    if (depth === 0 && isMark(token, ',')) items.push([]);
    else items.at(-1)?.push(token);
  }
  return items;
}

/** What names mean beyond their own query: aliases of tables elsewhere in the file, and `with` queries elsewhere in the room. */
interface Elsewhere {
  readonly aliases: ReadonlyMap<string, ReadonlySet<string>>;
  readonly named: ReadonlyMap<string, readonly Query[]>;
}

type Place = Pick<Name, 'tables' | 'result' | 'column' | 'alias'>;

function sourcesOf(name: Place, tables: Tables, elsewhere: Elsewhere): Set<string> {
  if (name.result?.kind === 'function') return new Set([given]);
  // What a value puts in has no text here: the alias means what it does elsewhere in the file.
  const known = name.result?.name === hole ? undefined : name.tables;
  const meant = known ?? [...(elsewhere.aliases.get(name.alias ?? '') ?? [])];
  const found = meant.filter((table) => tables.get(table)?.has(name.column)).map((table) => `${table}.${name.column}`);
  return new Set([...found, ...resultsOf(queriesBehind(name.result, elsewhere), name.column, tables, elsewhere)]);
}

function queriesBehind(relation: Relation | undefined, { named }: Elsewhere): readonly Query[] {
  return relation?.queries ?? (relation === undefined ? [] : (named.get(relation.name) ?? []));
}

/** Where a result comes from: the first query of a union names its results, the others have them in the same order. */
function resultsOf(queries: readonly Query[], column: string, tables: Tables, elsewhere: Elsewhere): string[] {
  const [first] = queries;
  if (first === undefined) return [];
  const index = resultsIn(first).findIndex((item) => item.at(-1)?.text === column);
  if (index >= 0)
    return queries.flatMap((query) => sourcesOfItem(query, resultsIn(query)[index] ?? [], tables, elsewhere));
  return queries.flatMap((query) =>
    resultsIn(query)
      .filter((item) => isMark(item.at(-1), '*'))
      .flatMap((item) => (isMark(item.at(-2), '.') ? [relationOf(query, item.at(-3)?.text ?? '')] : query.relations))
      .flatMap((relation) => {
        const table = relation?.table;
        if (table !== undefined) return tables.get(table)?.has(column) ? [`${table}.${column}`] : [];
        return resultsOf(queriesBehind(relation, elsewhere), column, tables, elsewhere);
      }),
  );
}

/** What `select` or `returning` lists. */
function resultsIn({ tokens }: Query): Token[][] {
  const returning = tokens.findLastIndex((token) => isWord(token, 'returning'));
  return itemsFrom(tokens, (returning >= 0 ? returning : tokens.findIndex((token) => isWord(token, 'select'))) + 1);
}

function sourcesOfItem(query: Query, item: readonly Token[], tables: Tables, elsewhere: Elsewhere): string[] {
  const literals = valuesOf(item).map((literal) => `'${literal}'`);
  if (literals.length > 0) return literals;
  const [first, dot, named] = item;
  if (first?.kind !== 'word') return [];
  if (dot === undefined || isWord(dot, 'as')) {
    const place = { ...placeOf(query, first.text, tables), column: first.text, alias: undefined };
    return [...sourcesOf(place, tables, elsewhere)];
  }
  if (!isMark(dot, '.') || named === undefined) return [];
  const relation = relationOf(query, first.text);
  const place: Place = {
    ...{ column: named.text, alias: first.text, result: relation?.table === undefined ? relation : undefined },
    tables: relation && (relation.table === undefined ? [] : [relation.table]),
  };
  return [...sourcesOf(place, tables, elsewhere)];
}
