/**
 * Pages along an index: each begins behind the keys of the last row of the one before, whatever was inserted or deleted
 * meanwhile.
 *
 * Invariant: the keys of a row are unique, and are the leading columns of an index in this order, so that a page costs the rows that
 * are on it.
 */
import { cursorOf, isCursor, type Key, type KeyKind, keysOf } from '../base/cursor.ts';
import type { Queryable, SqlFragment } from './connection.ts';

export interface KeyColumn {
  readonly kind: KeyKind;
  readonly of: (q: Queryable) => SqlFragment;
}

/** The columns of each sort of a list. */
export type Sorts<Name extends string> = Readonly<Record<Name, readonly KeyColumn[]>>;

export interface PageAsked<Name extends string> {
  /** With a leading `-` it descends. */
  readonly sort: Name | `-${Name}`;
  /** The cursor at which the previous page ended. */
  readonly after?: string | undefined;
  readonly limit: number;
}

export interface Page {
  /** Rows behind the page before; all on the first. */
  readonly condition: SqlFragment;
  /** For `order by`; made anew for each use. */
  readonly order: () => SqlFragment;
  /** One row more than the page has: it tells that there is another page. */
  readonly most: number;
  /** A row's own keys; select them as `keys`. */
  readonly keys: SqlFragment;
  /** @param end the keys of the last row that was looked at, where the look ended before all were */
  readonly cut: <Row extends Keyed>(
    rows: readonly Row[],
    end?: Key[] | null,
  ) => { readonly rows: readonly Row[]; readonly next: string | null };
}

export interface Keyed {
  readonly keys: Key[];
}

/**
 * @param earlier keys from what a release before 1.5 gave as `next` and took as `after`
 * @throws BrambleError ERR_INPUT for a cursor that belongs elsewhere
 */
export function pageOf<Name extends string>(
  q: Queryable,
  list: { readonly name: string; readonly sorts: Sorts<Name> },
  { sort, after, limit }: PageAsked<Name>,
  earlier: (text: string) => readonly Key[] | undefined = () => undefined,
): Page {
  const descending = sort.startsWith('-');
  const columns = list.sorts[(descending ? sort.slice(1) : sort) as Name];
  const order = { list: list.name, sort, keys: columns.map(({ kind }) => kind) };
  const keys =
    after === undefined ? undefined : ((isCursor(after) ? undefined : earlier(after)) ?? keysOf(order, after));
  const values = columns.map(({ of }) => of(q));
  return {
    condition:
      keys === undefined
        ? q`true`
        : q`(${listed(q, values)}) ${descending ? q`<` : q`>`} (${listed(
            q,
            keys.map((key, index) => bound(q, key, columns[index]?.kind)),
          )})`,
    order: () =>
      listed(
        q,
        values.map((value) => (descending ? q`${value} desc` : value)),
      ),
    most: limit + 1,
    keys: q`json_build_array(${listed(
      q,
      columns.map((column) => shown(q, column)),
    )})`,
    cut: (rows, end = null) => {
      const last = rows.length > limit ? rows[limit - 1]?.keys : end;
      return { rows: rows.slice(0, limit), next: last == null ? null : cursorOf(order, last) };
    },
  };
}

function listed(q: Queryable, parts: readonly SqlFragment[]): SqlFragment {
  return parts.reduce((list, part) => q`${list}, ${part}`);
}

function bound(q: Queryable, key: Key, kind: KeyKind | undefined): SqlFragment {
  if (kind === 'time') return q`${key}::text::timestamptz`;
  if (kind === 'id') return q`${key}::uuid`;
  return kind === 'number' ? q`${key}::float8::bigint` : q`${key}::text`;
}

function shown(q: Queryable, { kind, of }: KeyColumn): SqlFragment {
  return kind === 'time' ? q`to_char(${of(q)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')` : of(q);
}
