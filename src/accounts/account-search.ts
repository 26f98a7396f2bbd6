/** Accounts whose name, display name, or its last word, begins with what is searched for. */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { beginsWith, beginsWithAny } from '../database/prefix.ts';
import type { AccountChoice } from './account-choice.ts';
import { displayNameKey } from './account-list.ts';

/** Of account `a`, each along an index: account_name_prefix, account_display_name, account_last_word. */
const keys = {
  name: (q: Queryable) => q`lower(a.name collate "C")`,
  displayName: displayNameKey,
  lastWord: (q: Queryable) => q`lower(left(substring(a.display_name from '[^ ]*$'), 200) collate "C")`,
} as const satisfies Record<string, (q: Queryable) => SqlFragment>;

export type SearchedAccountField = keyof typeof keys;
export const searchedAccountFields = Object.keys(keys) as readonly SearchedAccountField[];

export interface FieldSearch<Field> {
  readonly field: Field;
  /** One of `prefixes`. */
  readonly prefix: string;
  /** All that the same words can begin with. */
  readonly prefixes: readonly string[];
  /** Key and id of the last one before. */
  readonly after: readonly [key: string, id: string] | undefined;
  readonly limit: number;
  readonly accounts: AccountChoice;
}

interface FoundAccount {
  readonly id: string;
  readonly key: string;
  readonly name: string;
  readonly displayName: string;
  readonly instance: string;
}

/** By the field's key and id, without those that an earlier field finds. */
export async function searchAccounts(
  q: Queryable,
  { field, prefix, prefixes, after, limit, accounts: { few, fits } }: FieldSearch<SearchedAccountField>,
): Promise<readonly FoundAccount[]> {
  const key = keys[field](q);
  const earlier = searchedAccountFields.slice(0, searchedAccountFields.indexOf(field));
  const from =
    few === null ? q`account` : q`(select * from account where id = any(${few as string[]}::uuid[]) offset 0)`;
  return await q<FoundAccount[]>`
    with page as materialized (
      select a.* from ${from} a
       where ${beginsWith(q, key, prefix)} and ${after === undefined ? q`true` : q`(${key}, a.id) > (${after[0]}::text, ${after[1]}::uuid)`}
         and not (${earlier.map((field) => beginsWithAny(q, keys[field](q), prefixes)).reduce((any, one) => q`${any} or ${one}`, q`false`)})
         and ${fits(q, q`a.id`)}
       order by ${key}, a.id limit ${limit})
    select a.id, ${key} as key, a.name, a.display_name as "displayName", i.name as instance
      from page a join instance i on i.id = a.instance_id
     order by ${key}, a.id`;
}
