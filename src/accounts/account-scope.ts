/**
 * What somebody sees who is limited to groups: these, the accounts in them, and what belongs to such accounts.
 *
 * Invariant: whoever is not known is not seen; no condition here is ever null.
 */
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** Ids of groups; null for no limit. */
export type Within = readonly string[] | null;

/** A query for the ids of the accounts in any of these groups; who is in several comes several times. */
export function membersOf(q: Queryable, groups: readonly string[]): SqlFragment {
  return q`select account_id as id from group_member where group_id = any(${groups as string[]}::uuid[])`;
}

/**
 * Whether the account with this id is seen, row by row, by group_member_account. A scalar subquery: of an `exists` the planner may make a
 * join, which reads every account before the first row. It takes its truth for as likely as not, and walks the list's index.
 */
export function isAccountWithin(q: Queryable, accountId: SqlFragment, within: Within): SqlFragment {
  if (within === null) return q`true`;
  return q`coalesce((
    select true from group_member seen
     where seen.account_id = ${accountId} and seen.group_id = any(${within as string[]}::uuid[]) limit 1), false)`;
}

export function isGroupWithin(q: Queryable, groupId: SqlFragment, within: Within): SqlFragment {
  return within === null ? q`true` : q`${groupId} = any(${within as string[]}::uuid[])`;
}

/** Id of the account that had this name at a time; null if there is none, or it has another one's name. */
export function accountNamed(q: Queryable, name: SqlFragment, at: SqlFragment): SqlFragment {
  return q`(select named.id from account named where named.name = ${name} and named.created_at <= ${at})`;
}

/** Id of the group that has this name now; null if there is none. */
export function groupNamed(q: Queryable, name: SqlFragment): SqlFragment {
  return q`(select named.id from account_group named where named.name = ${name})`;
}

/** Ids of the groups that an account is in, as an array of texts. */
export function groupsOf(q: Queryable, accountId: SqlFragment): SqlFragment {
  return q`array(select m.group_id::text from group_member m where m.account_id = ${accountId})`;
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
