/**
 * Search along several indexes in one statement: each walk takes the rows whose text begins with a prefix, in the order of text and
 * id, and one begins only if those before it have not found enough.
 *
 * Invariant: a walk looks at no more than `longestWalk` rows. Where that ends it, its last row is among what it gives, fitting or not, so
 * that the next page goes on behind it.
 */
import type { Queryable, SqlFragment } from './connection.ts';
import { beginsWith, beginsWithAny } from './prefix.ts';

/** Among rows of which one in fifty fits, it finds twenty. */
const longestWalk = 1000;

/** Key and id of a row that was told before. */
type Place = readonly [key: string, id: string];

/** Where to begin, and how many to find. */
interface WalkAsked {
  readonly after: Place | undefined;
  readonly limit: number;
}

export interface PrefixWalk<Field> {
  readonly field: Field;
  readonly along: (q: Queryable, asked: WalkAsked) => SqlFragment;
}

/** What a table has to be searched by. */
interface Searched<Field extends string> {
  /** Under an alias, with which the others name their columns. */
  readonly from: (q: Queryable) => SqlFragment;
  readonly id: (q: Queryable) => SqlFragment;
  /** In the form that an index has, the id behind it. */
  readonly keys: Readonly<Record<Field, (q: Queryable) => SqlFragment>>;
  readonly fits: (q: Queryable) => SqlFragment;
}

/** Field after field, each under each prefix. A row counts for the first field that begins so. */
export function prefixWalks<Field extends string>(
  { from, id, keys, fits }: Searched<Field>,
  prefixes: readonly string[],
): readonly PrefixWalk<Field>[] {
  const fields = Object.keys(keys) as Field[];
  return fields.flatMap((field, number) =>
    prefixes.map((prefix) => ({
      field,
      along: (q, { after, limit }) => {
        const [key, most] = [keys[field](q), q.unsafe(String(longestWalk))];
        const isNew = fields
          .slice(0, number)
          .reduce((all, earlier) => q`${all} and not (${beginsWithAny(q, keys[earlier](q), prefixes)})`, q``);
        const behind = after === undefined ? q`` : q`and (${key}, ${id(q)}) > (${after[0]}::text, ${after[1]}::uuid)`;
        return q`
          select w.key, w.id, w.fits, w.place = ${most} as "isEnd"
            from (select s.*, row_number() over (order by s.key, s.id) as place
                    from (select ${key} as key, ${id(q)} as id, (${fits(q)} ${isNew}) is true as fits
                            from ${from(q)}
                           where ${beginsWith(q, key, prefix)} ${behind}
                           order by ${key}, ${id(q)} limit ${most}) s) w
           where w.fits or w.place = ${most}
           order by w.key, w.id limit ${limit}`;
      },
    })),
  );
}

/** A row of the walk of this number. */
export interface WalkedRow {
  readonly part: number;
  readonly key: string;
  readonly id: string;
  readonly fits: boolean;
  /** Whether the walk ended here for its length. */
  readonly isEnd: boolean;
}

/**
 * For `with`: the walks from `start` on, in turn; the last of these queries has the rows that they gave, with the columns of
 * {@link WalkedRow}. Its name is returned beside them.
 */
export function walkInTurn(
  q: Queryable,
  walks: readonly PrefixWalk<unknown>[],
  { start, after, limit }: WalkAsked & { readonly start: number },
): { readonly queries: SqlFragment; readonly name: string } {
  const named = (part: number) => `found_${part}`;
  const queries = walks.slice(start).map(({ along }, index) => {
    const part = start + index;
    const walk = along(q, { after: index === 0 ? after : undefined, limit });
    const rows = q`select ${q.unsafe(String(part))}::int as part, w.* from (${walk}) w`;
    if (index === 0) return q`${q(named(part))} as materialized (${rows})`;
    const before = q(named(part - 1));
    return q`, ${q(named(part))} as materialized (
      select * from ${before}
      union all
      (${rows} where (select count(*) < ${limit} and not coalesce(bool_or("isEnd"), false) from ${before})))`;
  });
  return { queries: q`${queries}`, name: named(walks.length - 1) };
}
