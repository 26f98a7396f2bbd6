/** What somebody sees who is limited to groups: these, the accounts in them, and what belongs to such accounts. */
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** Ids of groups; null for no limit. */
export type Within = readonly string[] | null;

/** Whether the account with this id is seen; by group_member's primary key. `accountId` is of no table named `seen`. */
export function isAccountWithin(q: Queryable, accountId: SqlFragment, within: Within): SqlFragment {
  if (within === null) return q`true`;
  return q`exists (
    select from group_member seen where seen.account_id = ${accountId} and seen.group_id = any(${within as string[]}::uuid[]))`;
}

export function isGroupWithin(q: Queryable, groupId: SqlFragment, within: Within): SqlFragment {
  return within === null ? q`true` : q`${groupId} = any(${within as string[]}::uuid[])`;
}

export async function seesAccount(q: Queryable, name: string, within: Within): Promise<boolean> {
  const { count } = await q`select from account a where a.name = ${name} and ${isAccountWithin(q, q`a.id`, within)}`;
  return count > 0;
}

export async function seesGroup(q: Queryable, name: string, within: Within): Promise<boolean> {
  const { count } =
    await q`select from account_group g where g.name = ${name} and ${isGroupWithin(q, q`g.id`, within)}`;
  return count > 0;
}
