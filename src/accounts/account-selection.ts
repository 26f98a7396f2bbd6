/** Accounts as administrators select them: by name, by group, or all of an instance. */

import { accountNameOf } from '../base/account-name.ts';
import type { AccountId } from '../base/ids.ts';
import { notFound } from '../base/not-found.ts';
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';
import { isAccountWithin, isGroupWithin, type Within } from './account-scope.ts';

interface AccountSelection {
  accounts?: readonly string[] | undefined;
  group?: string | undefined;
  /** Name of an instance. */
  from?: string | undefined;
}

/**
 * The selected accounts sorted by name, and the names that match no account; what somebody does not see does not exist.
 * @throws BrambleError ERR_NOT_FOUND for a group or an instance that does not exist.
 */
export async function resolveAccounts(
  q: Queryable,
  selection: AccountSelection,
  within: Within,
): Promise<{ found: AccountId[]; unknown: string[] }> {
  if (selection.accounts !== undefined) return await accountsByName(q, selection.accounts, within);
  if (selection.group !== undefined) return { found: await accountsOfGroup(q, selection.group, within), unknown: [] };
  return { found: await accountsOfInstance(q, selection.from ?? '', within), unknown: [] };
}

/** The account's id, with its row locked FOR SHARE: a decision about it cannot interleave with a move. */
export async function lockAccountByName(tx: Transaction, name: string): Promise<AccountId | undefined> {
  const [row] = await tx<{ id: AccountId }[]>`select id from account where name = ${name} for share`;
  return row?.id;
}

/** A group, locked, with its accounts, their rows locked FOR SHARE in id order. */
export async function membersOfGroup(
  tx: Transaction,
  group: string,
  lock: 'share' | 'update' = 'share',
): Promise<{ id: string; accountIds: AccountId[] } | undefined> {
  const [row] = await tx<{ id: string }[]>`
    select id from account_group where name = ${group} for ${tx.unsafe(lock)}`;
  if (row === undefined) return undefined;
  const accounts = await tx<{ id: AccountId }[]>`
    select a.id from account a join group_member m on m.account_id = a.id
     where m.group_id = ${row.id} order by a.id for share of a`;
  return { id: row.id, accountIds: accounts.map((account) => account.id) };
}

/** Names by id, without deleted ones. */
export async function namesOfAccounts(q: Queryable, ids: readonly AccountId[]): Promise<Map<string, string>> {
  const rows = await q<{ id: string; name: string }[]>`
    select id, name from account where id = any(${ids as readonly string[] as string[]}::uuid[])`;
  return new Map(rows.map((row) => [row.id, row.name]));
}

async function accountsByName(
  q: Queryable,
  texts: readonly string[],
  within: Within,
): Promise<{ found: AccountId[]; unknown: string[] }> {
  const names = [...new Set(texts.map(accountNameOf))];
  const rows = await q<{ id: AccountId; name: string }[]>`
    select a.id, a.name from account a
     where a.name = any(${names}::text[]) and ${isAccountWithin(q, q`a.id`, within)} order by a.name`;
  const known = new Set(rows.map((row) => row.name));
  return { found: rows.map((row) => row.id), unknown: names.filter((candidate) => !known.has(candidate)) };
}

async function accountsOfGroup(q: Queryable, group: string, within: Within): Promise<AccountId[]> {
  const [row] = await q<{ id: string }[]>`
    select g.id from account_group g where g.name = ${group} and ${isGroupWithin(q, q`g.id`, within)}`;
  if (row === undefined) throw notFound('group', group);
  const rows = await q<{ id: AccountId }[]>`
    select a.id from group_member m join account a on a.id = m.account_id where m.group_id = ${row.id} order by a.name`;
  return rows.map((account) => account.id);
}

async function accountsOfInstance(q: Queryable, instance: string, within: Within): Promise<AccountId[]> {
  const [row] = await q<{ id: string }[]>`select id from instance where name = ${instance}`;
  if (row === undefined) throw notFound('instance', instance);
  const rows = await q<{ id: AccountId }[]>`
    select a.id from account a
     where a.instance_id = ${row.id} and ${isAccountWithin(q, q`a.id`, within)} order by a.name`;
  return rows.map((account) => account.id);
}

/** Whether the account of this id is a member of one of these groups, as SQL. */
export function isMemberOf(q: Queryable, accountId: SqlFragment, groups: readonly string[]): SqlFragment {
  return q`
    exists (select 1 from group_member m join account_group g on g.id = m.group_id
             where m.account_id = ${accountId} and g.name = any(${[...groups]}::text[]))`;
}

/** Of these names those that no group has. */
export async function unknownGroups(q: Queryable, names: readonly string[]): Promise<string[]> {
  const rows = await q<{ name: string }[]>`
    select n.name from unnest(${[...names]}::text[]) with ordinality as n(name, position)
     where not exists (select 1 from account_group g where g.name = n.name) order by n.position`;
  return rows.map(({ name }) => name);
}

/** Ids of all accounts. */
export async function everyAccount(q: Queryable): Promise<AccountId[]> {
  const rows = await q<{ id: AccountId }[]>`select id from account order by id`;
  return rows.map((account) => account.id);
}
