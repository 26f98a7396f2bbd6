/** What every list takes and answers: pages by `limit` and `after`, in an order named by `sort`. */
import * as z from 'zod';
import { maxCursorLength } from '../base/cursor.ts';
import type { listLimit } from './shapes.ts';

/** With a leading `-` it descends. */
export type Sort<Name extends string> = Name | `-${Name}`;
type Limit = ReturnType<typeof listLimit>;

/** The first sort is the default; each can be reversed. */
export function pageQuery<const Name extends string, Shape extends z.ZodDefault<Limit> | z.ZodOptional<Limit>>(
  sorts: readonly [Name, ...Name[]],
  limit: Shape,
) {
  const names = sorts.flatMap((name): Sort<Name>[] => [name, `-${name}`]);
  const sort = z.enum(names) as z.ZodType<Sort<Name>, Sort<Name>>;
  return {
    sort: sort.default(sorts[0] as never).describe('A leading `-` reverses it.'),
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
