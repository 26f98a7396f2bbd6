/**
 * Groups of accounts. Groups are ordered by rank, the lower number first, and no two share one. Membership determines
 * an account's IT policy, so changing members locks the account row FOR SHARE: it never interleaves with a move.
 */

import { plainNameOf } from '../base/account-name.ts';
import { newId } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { sqlState } from '../database/sql-state.ts';
import { assignGroupPolicy } from '../policies/policy-store.ts';
import { isGroupWithin, type Within } from './account-scope.ts';

interface AccountGroup {
  readonly id: string;
  readonly name: string;
  readonly rank: number;
  readonly memberCount: number;
  readonly revision: number;
}

/** Creates a group; without a rank it comes after all others. */
export async function createGroup(
  tx: Transaction,
  group: { readonly name: string; readonly rank?: number | undefined },
): Promise<{ kind: 'created'; group: AccountGroup } | { kind: 'name-taken' } | { kind: 'rank-taken' }> {
  const name = plainNameOf('a group', group.name);
  try {
    const [row] = await tx.savepoint(
      (inner) => inner<Omit<AccountGroup, 'memberCount'>[]>`
        insert into account_group (id, name, rank)
        values (${newId()}, ${name}, coalesce(${group.rank ?? null}::int, (select coalesce(max(rank), 0) + 10 from account_group)))
        returning id, name, rank, revision::float8 as revision`,
    );
    if (row === undefined) throw new TypeError('an insert answered no row');
    return { kind: 'created', group: { ...row, memberCount: 0 } };
  } catch (error) {
    if (sqlState(error) !== '23505') throw error;
    const [taken] = await tx<{ id: string }[]>`select id from account_group where name = ${name}`;
    return { kind: taken === undefined ? 'rank-taken' : 'name-taken' };
  }
}

/**
 * Deletes a group with its memberships and the assignment of its policy, in this order, because the captured rows name
 * the group. The caller holds the accounts' rows FOR SHARE and queues the deliveries that result.
 */
export async function deleteGroup(tx: Transaction, groupId: string): Promise<void> {
  await tx`delete from group_member where group_id = ${groupId}`;
  await assignGroupPolicy(tx, groupId, null);
  await tx`delete from account_group where id = ${groupId}`;
}

/** The id of the group with this name. */
export async function findGroup(q: Queryable, name: string): Promise<string | undefined> {
  const [row] = await q<{ id: string }[]>`select id from account_group where name = ${name}`;
  return row?.id;
}

/** By rank. */
export async function listGroups(q: Queryable, within: Within): Promise<AccountGroup[]> {
  return await q<AccountGroup[]>`
    select g.id, g.name, g.rank, (select count(*)::int from group_member m where m.group_id = g.id) as "memberCount",
      g.revision::float8 as revision
    from account_group g
    where ${isGroupWithin(q, q`g.id`, within)}
    order by g.rank`;
}

/** Names of a group's accounts; undefined when there is no such group. */
export async function listGroupMembers(q: Queryable, group: string): Promise<string[] | undefined> {
  const [row] = await q<{ members: string[] }[]>`
    select array(select a.name from group_member m join account a on a.id = m.account_id
                 where m.group_id = g.id order by a.name) as members
    from account_group g
    where g.name = ${group}`;
  return row?.members;
}

export type MembershipOutcome = 'changed' | 'unchanged' | 'unknown-group' | 'unknown-account';

/** Puts an account into a group. Locks the account row FOR SHARE. */
export async function addGroupMember(tx: Transaction, group: string, account: string): Promise<MembershipOutcome> {
  const [row] = await tx<MembershipRow[]>`
    with locked as materialized (select id from account where name = ${account} for share),
    named as (select id from account_group where name = ${group}),
    changed as (
      insert into group_member (group_id, account_id)
      select named.id, locked.id from named, locked
      on conflict do nothing
      returning account_id
    )
    select exists (select from named) as "groupFound", exists (select from locked) as "accountFound",
      exists (select from changed) as changed`;
  return membershipOutcome(row);
}

/** Takes an account out of a group. Locks the account row FOR SHARE. */
export async function removeGroupMember(tx: Transaction, group: string, account: string): Promise<MembershipOutcome> {
  const [row] = await tx<MembershipRow[]>`
    with locked as materialized (select id from account where name = ${account} for share),
    named as (select id from account_group where name = ${group}),
    changed as (
      delete from group_member m using named, locked
      where m.group_id = named.id and m.account_id = locked.id
      returning m.account_id
    )
    select exists (select from named) as "groupFound", exists (select from locked) as "accountFound",
      exists (select from changed) as changed`;
  return membershipOutcome(row);
}

interface MembershipRow {
  groupFound: boolean;
  accountFound: boolean;
  changed: boolean;
}

function membershipOutcome(row: MembershipRow | undefined): MembershipOutcome {
  if (row?.groupFound !== true) return 'unknown-group';
  if (!row.accountFound) return 'unknown-account';
  return row.changed ? 'changed' : 'unchanged';
}
