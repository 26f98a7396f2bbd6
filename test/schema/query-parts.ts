/**
 * A statement of SQL, or a part of one, taken apart as far as its names go: queries, the relations of each, and which column of
 * which table a name in it means.
 *
 * It knows no grammar beyond that, and cannot see what a value that is no template puts in. A name that it cannot place belongs to
 * no table: who asks decides what that means.
 */
import { hole } from './sql-texts.ts';

export interface Token {
  readonly kind: 'word' | 'text' | 'mark';
  readonly text: string;
  /** What the parentheses that open here contain. */
  readonly inside?: Query[];
}

export interface Relation {
  readonly alias: string;
  /** Of a table, of a `with` query, or of a function. */
  readonly name: string;
  readonly kind: 'table' | 'query' | 'function' | 'unknown';
  readonly table?: string;
  readonly queries?: readonly Query[];
  /** `insert into`, `update` and `delete from` name it, or `lock table`. */
  readonly changed: boolean;
}

/** One select, insert, update or delete, or a condition on its own. */
export interface Query {
  readonly tokens: Token[];
  readonly relations: Relation[];
  readonly parent: Query | undefined;
  /** `with` queries by their names. */
  readonly named: Map<string, Query[]>;
  /** Tokens that name relations, aliases and results, not columns. */
  readonly taken: Set<Token>;
  /** Columns that it sets: in `set …`, and in the list behind `insert into …`. */
  readonly assigned: Token[];
  readonly inserted: Token[];
}

export type Tables = ReadonlyMap<string, ReadonlySet<string>>;

const lexer = new RegExp(
  String.raw`(?<skip>\s+|--[^\n]*)|(?<text>'(?:[^']|'')*')|(?<word>[A-Za-z_]\w*|"[^"]*"|\d[\w.]*)|(?<mark>::|<>|!=|<=|>=|\|\||${hole}|.)`,
  'gsy',
);

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (const { groups } of text.matchAll(lexer)) {
    const { text: literal, word, mark } = groups ?? {};
    if (literal !== undefined) tokens.push({ kind: 'text', text: literal.slice(1, -1) });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word });
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark });
  }
  return tokens;
}

/** The queries of a text, with those inside them in their tokens. */
export function queriesOf(text: string, tables: Tables): Query[] {
  return parse(tokensOf(text), undefined, tables);
}

/** Every query, those inside others too. */
export function allQueries(queries: readonly Query[]): Query[] {
  return queries.flatMap((query) => [query, ...query.tokens.flatMap(({ inside }) => allQueries(inside ?? []))]);
}

const beginnings = new Set(['select', 'with', 'insert', 'update', 'delete', 'values']);
const setOperations = new Set(['union', 'except', 'intersect']);

/** Splits at `;` and at set operations, and takes what stands in parentheses and is a query of its own into one token. */
function parse(tokens: readonly Token[], parent: Query | undefined, tables: Tables): Query[] {
  const queries: Query[] = [];
  let query = newQuery(parent);
  let depth = 0;
  const named = query.named;
  const finish = () => {
    findRelations(query, tables);
    queries.push(query);
    query = { ...newQuery(parent), named };
  };
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at] as Token;
    if (isMark(token, '(')) {
      const end = closing(tokens, at);
      if (beginsQuery(tokens, at + 1)) {
        const opening: Token & { inside: Query[] } = { kind: 'mark', text: '(', inside: [] };
        query.tokens.push(opening, { kind: 'mark', text: ')' });
        nameQueries(query, opening);
        opening.inside.push(...parse(tokens.slice(at + 1, end), query, tables));
        at = end;
        continue;
      }
      depth += 1;
    }
    if (isMark(token, ')')) depth -= 1;
    if (depth === 0 && (isMark(token, ';') || (token.kind === 'word' && setOperations.has(token.text)))) finish();
    else query.tokens.push(token);
  }
  finish();
  return queries;
}

const newQuery = (parent: Query | undefined): Query => ({
  ...{ tokens: [], relations: [], parent, named: new Map<string, Query[]>(), taken: new Set<Token>() },
  ...{ assigned: [], inserted: [] },
});

export const isMark = (token: Token | undefined, ...texts: string[]) =>
  token?.kind === 'mark' && texts.includes(token.text);
export const isWord = (token: Token | undefined, ...texts: string[]) =>
  token?.kind === 'word' && texts.includes(token.text);

function beginsQuery(tokens: readonly Token[], from: number): boolean {
  let at = from;
  while (isMark(tokens[at], '(') || isMark(tokens[at], hole)) at += 1;
  return tokens[at]?.kind === 'word' && beginnings.has(tokens[at]?.text ?? '');
}

function closing(tokens: readonly Token[], opening: number): number {
  let depth = 0;
  for (let at = opening; at < tokens.length; at += 1) {
    if (isMark(tokens[at], '(')) depth += 1;
    if (isMark(tokens[at], ')')) depth -= 1;
    if (depth === 0) return at;
  }
  return tokens.length;
}

/** `name as materialized (…)`. */
function nameQueries(query: Query, opening: Token & { inside: Query[] }): void {
  const before = query.tokens.slice(0, -2);
  let at = before.length - 1;
  while (isWord(before[at], 'materialized', 'not')) at -= 1;
  const name = before[at - 1];
  if (!isWord(before[at], 'as') || name?.kind !== 'word') return;
  query.named.set(name.text, opening.inside);
  query.taken.add(name);
}

/** What can follow a relation, and is not its alias. */
const clauses = new Set(
  'where join left right inner cross full natural on using group order limit offset having returning set for union as values select default window lateral and or'.split(
    ' ',
  ),
);
const endOfFrom = new Set([
  'where',
  'group',
  'order',
  'limit',
  'having',
  'returning',
  'set',
  'for',
  'window',
  'values',
  'select',
  'conflict',
]);

function findRelations(query: Query, tables: Tables): void {
  const { tokens, taken } = query;
  let depth = 0;
  let inFrom = false;
  let inSet = false;
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at] as Token;
    if (isMark(token, '(')) depth += 1;
    if (isMark(token, ')')) depth -= 1;
    if (depth !== 0) continue;
    const before = tokens[at - 1];
    const word = token.text;
    if (inFrom && isMark(token, ',')) readRelation(at + 1, false);
    if (token.kind !== 'word') continue;
    if (endOfFrom.has(word)) inFrom = false;
    if (word === 'set') inSet = true;
    else if (clauses.has(word) && word !== 'as' && word !== 'and' && word !== 'or') inSet = false;
    if (inSet && isMark(tokens[at + 1], '=') && (isWord(before, 'set') || isMark(before, ','))) {
      query.assigned.push(token);
      taken.add(token);
    }
    if (word === 'from' && !isWord(before, 'distinct')) {
      const changed = isWord(before, 'delete');
      inFrom = !changed;
      readRelation(at + 1, changed);
    } else if (word === 'join') readRelation(at + 1, false);
    else if (word === 'using' && !isMark(tokens[at + 1], '(')) {
      inFrom = true;
      readRelation(at + 1, false);
    } else if (word === 'into' && isWord(before, 'insert')) {
      readRelation(at + 1, true);
      const list = tokens.findIndex((each, index) => index > at && isMark(each, '('));
      const isList = list - at <= 4 && tokens[list]?.inside === undefined;
      if (isList)
        query.inserted.push(...tokens.slice(list + 1, closing(tokens, list)).filter(({ kind }) => kind === 'word'));
      for (const column of query.inserted) taken.add(column);
    } else if (word === 'update' && !isWord(before, 'for', 'do', 'key', 'on')) readRelation(at + 1, true);
    else if (word === 'table' && isWord(before, 'lock')) readRelation(at + 1, true);
  }

  function readRelation(from: number, changed: boolean): void {
    let at = from;
    while (isWord(tokens[at], 'only', 'lateral') || (isMark(tokens[at], '(') && !tokens[at]?.inside)) at += 1;
    // Of the catalog's schemas.
    while (isMark(tokens[at + 1], '.')) at += 2;
    const name = tokens[at];
    if (name === undefined) return;
    if (name.kind === 'word') taken.add(name);
    let next = at + 1;
    if (isMark(name, hole) && isMark(tokens[next], ')')) next += 1;
    let kind: Relation['kind'] = 'unknown';
    const found: { table?: string; queries?: readonly Query[] } = {};
    if (name.inside !== undefined) {
      kind = 'query';
      found.queries = name.inside;
      next += 1;
    } else if (name.kind === 'word' && isMark(tokens[next], '(') && !changed) {
      kind = 'function';
      next = closing(tokens, next) + 1;
      if (isWord(tokens[next], 'with') && isWord(tokens[next + 1], 'ordinality')) next += 2;
    } else if (name.kind === 'word') {
      const queries = namedQueries(query, name.text);
      if (queries !== undefined && !changed) {
        kind = 'query';
        found.queries = queries;
      } else if (tables.has(name.text)) {
        kind = 'table';
        found.table = name.text;
      }
    }
    if (isWord(tokens[next], 'as')) next += 1;
    const alias = tokens[next];
    const hasAlias = alias?.kind === 'word' && !clauses.has(alias.text) && !isMark(tokens[next - 1], ',');
    if (hasAlias) {
      taken.add(alias);
      if (isMark(tokens[next + 1], '(') && !changed) {
        for (const column of tokens.slice(next + 2, closing(tokens, next + 1))) taken.add(column);
        // A query's results have other names then.
        if (kind === 'query') kind = 'unknown';
      }
    }
    query.relations.push({ alias: hasAlias ? alias.text : name.text, name: name.text, kind, changed, ...found });
  }
}

function namedQueries(query: Query | undefined, name: string): Query[] | undefined {
  return query && (query.named.get(name) ?? namedQueries(query.parent, name));
}

/** The relation that an alias means, in the query or in one around it. */
export function relationOf(query: Query | undefined, alias: string): Relation | undefined {
  return query && (query.relations.find((relation) => relation.alias === alias) ?? relationOf(query.parent, alias));
}

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
  const names: Name[] = [];
  const conflict = query.tokens.findIndex(
    (token, at) => isWord(token, 'conflict') && isWord(query.tokens[at - 1], 'on'),
  );
  query.tokens.forEach((token, at) => {
    const { tokens, taken } = query;
    if (taken.has(token) || operators.has(token.text)) return;
    const isQualified = isMark(tokens[at - 1], '.');
    if (isQualified && tokens[at - 2]?.kind === 'word' && (token.kind === 'word' || isMark(token, '*'))) {
      const alias = tokens[at - 2]?.text ?? '';
      if (alias === 'excluded') return;
      const relation = relationOf(query, alias);
      const ofTable = relation?.table === undefined ? [] : [relation.table];
      names.push({
        ...{ at, column: token.text, alias, tables: relation === undefined ? undefined : ofTable },
        result: relation?.table === undefined ? relation : undefined,
      });
      return;
    }
    if (isMark(token, '*') && isWord(tokens[at - 1], 'select', 'returning')) {
      const all = query.relations.flatMap(({ table, changed }) => (table === undefined || changed ? [] : [table]));
      names.push({ at, column: '*', alias: undefined, tables: all, result: undefined });
      return;
    }
    if (token.kind !== 'word' || isQualified || isMark(tokens[at + 1], '(')) return;
    if (isMark(tokens[at + 1], '.') || isMark(tokens[at - 1], '::') || isWord(tokens[at - 1], 'as')) return;
    if (isWord(tokens[at + 1], 'from') && isMark(tokens[at - 1], '(')) return; // extract(epoch from …)
    const row = relationOf(query, token.text);
    if (row?.table !== undefined && !isColumn(query, token.text, tables)) {
      const locked = isWord(tokens[at - 1], 'of');
      if (!locked) names.push({ at, column: '*', alias: token.text, tables: [row.table], result: undefined });
      return;
    }
    names.push({
      at,
      column: token.text,
      alias: undefined,
      ...placeOf(query, token.text, tables, conflict >= 0 && at > conflict),
    });
  });
  return names;
}

const isColumn = (query: Query, name: string, tables: Tables) =>
  query.relations.some(({ table }) => table !== undefined && tables.get(table)?.has(name));

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
