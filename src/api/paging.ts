/**
 * What every list takes and answers: pages by `limit` and `after`, in an order named by `sort`. A large one walks an index of the
 * database; of one that is small by nature the service has all entries, and sorts and cuts them itself.
 */
import * as z from 'zod';
import { maxCursorLength } from '../base/cursor.ts';
import { listLimit } from './shapes.ts';

/** With a leading `-` it descends. */
export type Sort<Name extends string> = Name | `-${Name}`;
type Limit = ReturnType<typeof listLimit>;

/** The first sort is the default unless another is named; each can be reversed. */
export function pageQuery<const Name extends string, Shape extends z.ZodDefault<Limit> | z.ZodOptional<Limit>>(
  sorts: readonly [Name, ...Name[]],
  limit: Shape,
  otherwise: Sort<Name> = sorts[0],
) {
  const names = sorts.flatMap((name): Sort<Name>[] => [name, `-${name}`]);
  const sort = z.enum(names) as z.ZodType<Sort<Name>, Sort<Name>>;
  return {
    sort: sort.default(otherwise as never).describe('A leading `-` reverses it.'),
    after: z.string().min(1).max(maxCursorLength).optional().describe('The `next` value of the previous page.'),
    limit,
  };
}

/** Releases before 1.5 answer some lists without it. */
export const next = z
  .string()
  .nullable()
  .default(null)
  .describe('What `after` takes for the next page; null on the last one.');

/** A list that is small by nature. */
export interface SmallList {
  /** Of the answer: the entries. */
  readonly member: string;
  /** Members of an entry by which they can be sorted; the first is the default. */
  readonly sorts: readonly [string, ...string[]];
  /** A member that no two entries share. */
  readonly unique: string;
  /** Members that may be asked for. */
  readonly filters: readonly string[];
}

/**
 * The shapes of one: without `limit` all entries are answered, as in releases before 1.5.
 * @param more further members of the answer
 */
export function smallList<
  const Member extends string,
  Entry extends z.ZodObject,
  const Name extends Extract<keyof Entry['shape'], string>,
  const Filter extends Extract<keyof Entry['shape'], string> = never,
  More extends z.ZodRawShape = Record<never, never>,
>(
  member: Member,
  entry: Entry,
  { sorts, unique, filters = [] }: { sorts: readonly [Name, ...Name[]]; unique: Name; filters?: readonly Filter[] },
  more?: More,
) {
  const text = z.string().max(200).optional();
  const asked = Object.fromEntries(filters.map((filter) => [filter, text])) as Record<Filter, typeof text>;
  const shape = { [member]: z.array(entry), ...more, next } as Record<Member, z.ZodArray<Entry>> &
    More & { next: typeof next };
  return {
    query: z.object({ ...asked, ...pageQuery(sorts, listLimit(1000).optional()) }),
    answer: z.object(shape),
    list: { member, sorts, unique, filters } satisfies SmallList,
  };
}
