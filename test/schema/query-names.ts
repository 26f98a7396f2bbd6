/** Which column of which table each name in a query means, and which rows it locks. */
import { isMark, isWord, type Query, type Relation, relationOf, type Tables } from './query-parts.ts';

/** What a name in a query means. */
export interface Name {
  /** Where it stands in the query's tokens: its last token, behind the alias. */
  readonly at: number;
  readonly column: string;
  readonly alias: string | undefined;
  /** Tables that have it; undefined where its alias is none that the text knows. */
  readonly tables: readonly string[] | undefined;
  /** The relation, if it is no table: the name is one of its results. */
  readonly result: Relation | undefined;
}

const operators = new Set(
  'and or not in is null true false case when then else end exists distinct between like'.split(' '),
);

/** The columns that a query names, outside of queries within it. `*` is a whole row. */
export function namesIn(query: Query, tables: Tables): Name[] {
  return query.tokens.flatMap((token, at) => {
    if (query.taken.has(token) || operators.has(token.text)) return [];
    const isBehindDot = isMark(query.tokens[at - 1], '.');
    return (isBehindDot ? qualifiedName(query, at) : bareName(query, at, tables)) ?? [];
  });
}

/** `alias.name`, or `alias.*`. */
function qualifiedName(query: Query, at: number): Name | undefined {
  const [token, before] = [query.tokens[at], query.tokens[at - 2]];
  if (before?.kind !== 'word' || (token?.kind !== 'word' && !isMark(token, '*'))) return undefined;
  const alias = before.text;
  if (alias === 'excluded') return undefined;
  const relation = relationOf(query, alias);
  const result = relation?.table === undefined ? relation : undefined;
  return {
    at,
    column: token?.text ?? '',
    alias,
    tables: relation && (relation.table === undefined ? [] : [relation.table]),
    result,
  };
}

function bareName(query: Query, at: number, tables: Tables): Name | undefined {
  const { tokens, relations } = query;
  const [before, token, next] = [tokens[at - 1], tokens[at], tokens[at + 1]];
  if (isMark(token, '*') && isWord(before, 'select', 'returning')) {
    const all = relations.flatMap(({ table, changed }) => (table === undefined || changed ? [] : [table]));
    return { at, column: '*', alias: undefined, tables: all, result: undefined };
  }
  if (token?.kind !== 'word' || isMark(next, '(', '.') || isMark(before, '::') || isWord(before, 'as'))
    return undefined;
  if (isWord(next, 'from') && isMark(before, '(')) return undefined; // extract(epoch from …)
  const row = relationOf(query, token.text)?.table;
  if (row !== undefined && !relations.some(({ table }) => tables.get(table ?? '')?.has(token.text))) {
    // The whole row, but for `for share of alias`.
    return isWord(before, 'of') ? undefined : { at, column: '*', alias: token.text, tables: [row], result: undefined };
  }
  const ofConflict = tokens.some((each, index) => index < at && isWord(each, 'conflict'));
  return { at, column: token.text, alias: undefined, ...placeOf(query, token.text, tables, ofConflict) };
}

/** A name without an alias is a column of the innermost query that has it. */
export function placeOf(
  query: Query | undefined,
  name: string,
  tables: Tables,
  ofConflict = false,
): Pick<Name, 'tables' | 'result'> {
  for (let around = query; around !== undefined; around = around.parent) {
    const having = around.relations.filter(({ table }) => table !== undefined && tables.get(table)?.has(name));
    // What a statement reads from comes before the table that it inserts into, but for what is said of conflicts.
    const nearest = having.filter(({ changed }) => changed === (ofConflict && around === query));
    const found = (nearest.length > 0 ? nearest : having).flatMap(({ table }) => table ?? []);
    if (found.length > 0) return { tables: found, result: undefined };
    const result = around.relations.find(({ table }) => table === undefined);
    if (result !== undefined) return { tables: [], result };
  }
  return { tables: [], result: undefined };
}

/** The tables whose rows a query locks: `for share of a`, or all that it reads. */
export function locksIn({ tokens, relations }: Query): string[] {
  const at = tokens.findIndex(
    (token, index) => isWord(token, 'update', 'share') && isWord(tokens[index - 1], 'for', 'key'),
  );
  if (at < 0) return [];
  const named = isWord(tokens[at + 1], 'of') ? tokens.slice(at + 2).map(({ text }) => text) : undefined;
  return relations.flatMap(({ alias, table, changed }) =>
    table === undefined || changed || named?.includes(alias) === false ? [] : [table],
  );
}

/** Which tables each alias means in these queries. */
export function aliasesOf(queries: readonly Query[]): Map<string, Set<string>> {
  const aliases = new Map<string, Set<string>>();
  for (const { alias, table } of queries.flatMap(({ relations }) => relations)) {
    if (table !== undefined) aliases.set(alias, (aliases.get(alias) ?? new Set()).add(table));
  }
  return aliases;
}
