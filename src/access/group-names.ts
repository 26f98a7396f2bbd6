/** Groups that somebody is limited to: stored by their ids, told and asked for by their names. */
import type { Queryable } from '../database/connection.ts';

/** Ids of groups by their names; the first name that is none otherwise. */
export async function groupsNamed(q: Queryable, names: readonly string[]): Promise<string[] | { unknown: string }> {
  const rows = await q<{ id: string; name: string }[]>`
    select id, name from account_group where name = any(${[...names]}::text[])`;
  const unknown = names.find((name) => !rows.some((row) => row.name === name));
  return unknown === undefined ? rows.map(({ id }) => id) : { unknown };
}

/** In order; those of groups that are gone are gone. */
export async function namesOfGroups(q: Queryable, ids: readonly string[]): Promise<string[]> {
  const rows = await q<{ name: string }[]>`
    select name from account_group where id = any(${[...ids]}::uuid[]) order by name`;
  return rows.map(({ name }) => name);
}
