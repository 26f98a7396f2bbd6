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

const wordsOf = (text: string) => text.split(' ');
const endsFrom = new Set(wordsOf('where group order limit having returning set for window values select conflict'));
/** What ends a list, and can follow a relation without being its alias. */
const clauses = new Set([
  ...wordsOf('where join left right inner cross full natural on using group order limit offset having returning set'),
  ...wordsOf('for union values select default window lateral'),
]);
const conditions = ['as', 'and', 'or'];

function findRelations(query: Query, tables: Tables): void {
  const { tokens } = query;
  const add = (from: number, changed: boolean) => {
    const relation = relationAt(query, from, changed, tables);
    if (relation !== undefined) query.relations.push(relation);
  };
  let depth = 0;
  let inFrom = false;
  let inSet = false;
  tokens.forEach((token, at) => {
    if (isMark(token, '(')) depth += 1;
    if (isMark(token, ')')) depth -= 1;
    if (depth !== 0) return;
    const [before, next] = [tokens[at - 1], tokens[at + 1]];
    if (inFrom && isMark(token, ',')) add(at + 1, false);
    if (token.kind !== 'word') return;
    if (endsFrom.has(token.text)) inFrom = false;
    if (clauses.has(token.text)) inSet = token.text === 'set';
    if (inSet && isMark(next, '=') && (isWord(before, 'set') || isMark(before, ','))) query.assigned.push(token);
    if (isWord(token, 'from') && !isWord(before, 'distinct')) {
      inFrom = !isWord(before, 'delete');
      add(at + 1, !inFrom);
    } else if (isWord(token, 'using') && !isMark(next, '(')) {
      inFrom = true;
      add(at + 1, false);
    } else if (isWord(token, 'join')) add(at + 1, false);
    else if (isWord(token, 'into') && isWord(before, 'insert')) {
      add(at + 1, true);
      query.inserted.push(...columnsBehind(tokens, at));
    } else if (isWord(token, 'update') && !isWord(before, 'for', 'do', 'key', 'on')) add(at + 1, true);
    else if (isWord(token, 'table') && isWord(before, 'lock')) add(at + 1, true);
  });
  for (const column of [...query.assigned, ...query.inserted]) query.taken.add(column);
}

/** `insert into name as alias (column, …)`. */
function columnsBehind(tokens: readonly Token[], into: number): Token[] {
  const list = tokens.findIndex((token, at) => at > into && isMark(token, '('));
  if (list < 0 || list - into > 4 || tokens[list]?.inside !== undefined) return [];
  return tokens.slice(list + 1, closing(tokens, list)).filter(({ kind }) => kind === 'word');
}

/** What stands behind `from`, `join` and their like. */
function relationAt(query: Query, from: number, changed: boolean, tables: Tables): Relation | undefined {
  const { tokens, taken } = query;
  let at = from;
  while (isWord(tokens[at], 'only', 'lateral') || (isMark(tokens[at], '(') && !tokens[at]?.inside)) at += 1;
  // Of the catalog's schemas.
  while (isMark(tokens[at + 1], '.')) at += 2;
  const name = tokens[at];
  if (name === undefined) return undefined;
  if (name.kind === 'word') taken.add(name);
  const isFunction = name.kind === 'word' && isMark(tokens[at + 1], '(') && !changed;
  let end = at + 1;
  if (isFunction) end = closing(tokens, end) + 1;
  else if (name.inside !== undefined || (isMark(name, hole) && isMark(tokens[end], ')'))) end += 1;
  if (isWord(tokens[end], 'with') && isWord(tokens[end + 1], 'ordinality')) end += 2;
  if (isWord(tokens[end], 'as')) end += 1;
  const alias = aliasAt(tokens, end);
  const renamed = alias !== undefined && isMark(tokens[end + 1], '(') && !changed;
  if (alias !== undefined) taken.add(alias);
  if (renamed) for (const column of tokens.slice(end + 2, closing(tokens, end + 1))) taken.add(column);
  const found = { alias: (alias ?? name).text, name: name.text, changed };
  if (isFunction) return { ...found, kind: 'function' };
  const queries = name.inside ?? (changed ? undefined : namedQueries(query, name.text));
  // With a list of names behind its alias the results of a query have other names.
  if (queries !== undefined) return renamed ? { ...found, kind: 'unknown' } : { ...found, kind: 'query', queries };
  return tables.has(name.text) ? { ...found, kind: 'table', table: name.text } : { ...found, kind: 'unknown' };
}

function aliasAt(tokens: readonly Token[], at: number): Token | undefined {
  const token = tokens[at];
  return token?.kind === 'word' && !clauses.has(token.text) && !isWord(token, ...conditions) ? token : undefined;
}

function namedQueries(query: Query | undefined, name: string): Query[] | undefined {
  return query && (query.named.get(name) ?? namedQueries(query.parent, name));
}

/** The relation that an alias means, in the query or in one around it. */
export function relationOf(query: Query | undefined, alias: string): Relation | undefined {
  return query && (query.relations.find((relation) => relation.alias === alias) ?? relationOf(query.parent, alias));
}
