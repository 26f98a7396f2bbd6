/**
 * Pages of a list that is small by nature: its handler answers all entries, and here they are filtered, sorted and cut.
 *
 * Invariant: as along an index of the database, a page begins behind the keys of the last entry of the one before.
 */
import type { SmallList } from '../api/paging.ts';
import { cursorOf, isCursor, type Key, keysOf, type Order } from '../base/cursor.ts';

type Entry = Readonly<Record<string, unknown>>;

interface Asked {
  readonly sort: string;
  readonly after?: string;
  readonly limit?: number;
  readonly [filter: string]: unknown;
}

/**
 * The answer with the entries that were asked for.
 * @throws BrambleError ERR_INPUT for a cursor that belongs elsewhere
 */
export function withPage(list: SmallList, answer: object, query: object): Entry {
  const { [list.member]: all, ...rest } = answer as Entry;
  const { entries, next } = pageOf(list, all as readonly Entry[], query as Asked);
  return { ...rest, [list.member]: entries, next };
}

function pageOf(
  { member, sorts, unique, filters }: SmallList,
  all: readonly Entry[],
  asked: Asked,
): { entries: readonly Entry[]; next: string | null } {
  const { sort, after, limit = Number.POSITIVE_INFINITY } = asked;
  const chosen = all.filter((entry) =>
    filters.every((one) => asked[one] === undefined || String(entry[one]) === asked[one]),
  );
  // As its handler has it, which may be an order of its own.
  const isWhole = asked.limit === undefined && after === undefined && sort === sorts[0];
  if (isWhole) return { entries: chosen, next: null };
  const direction = sort.startsWith('-') ? -1 : 1;
  const name = sort.replace('-', '');
  const keysIn = (entry: Entry): readonly Key[] => [keyOf(entry[name]), keyOf(entry[unique])];
  const compare = (one: readonly Key[], other: readonly Key[]) => direction * compareKeys(one, other);
  const sorted = chosen
    .map((entry) => ({ entry, keys: keysIn(entry) }))
    .toSorted((one, other) => compare(one.keys, other.keys));
  const kind = chosen.some((entry) => typeof entry[name] === 'number') ? 'number' : 'text';
  const order: Order = { list: listWord(member), sort, keys: [kind, 'text'] };
  // Of what kind its keys were cannot be told of a list that became empty.
  const isOver = chosen.length === 0 && after !== undefined && isCursor(after);
  const behind = after === undefined || isOver ? undefined : keysOf(order, after);
  const left = behind === undefined ? sorted : sorted.filter(({ keys }) => compare(keys, behind) > 0);
  const last = left.length > limit ? left[limit - 1] : undefined;
  return {
    entries: left.slice(0, limit).map(({ entry }) => entry),
    next: last === undefined ? null : cursorOf(order, last.keys),
  };
}

function compareKeys(one: readonly Key[], other: readonly Key[]): number {
  for (const [index, key] of one.entries()) {
    const against = other[index] ?? '';
    if (key !== against) return key < against ? -1 : 1;
  }
  return 0;
}

/** Nothing comes before everything. */
function keyOf(value: unknown): Key {
  if (typeof value === 'number') return value;
  return value instanceof Date ? value.toISOString() : String(value ?? '');
}

/** `connectionServices` is `connection-services` in a cursor. */
function listWord(member: string): string {
  return member.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
