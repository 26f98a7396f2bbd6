/**
 * Which accounts a list is about: of an instance, of a group, of the groups that whoever asks is limited to. The one place where a
 * list of accounts, of devices, or of anything else that belongs to an account gets such conditions.
 *
 * Invariant: a list costs no more than a few thousand rows for them. Where they leave few accounts, it starts from these; where they
 * leave many, a walk along the list's own index soon finds enough that fit.
 */
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { isAccountWithin, membersOf, type Within } from './account-scope.ts';

export interface AccountConditions {
  readonly accountId?: string | undefined;
  readonly instanceId?: string | undefined;
  readonly groupId?: string | undefined;
  /** Ids of groups, one of which an account has to be in; null for no such limit, and nothing at all for none of them. */
  readonly within?: Within | undefined;
}

type Fits = (q: Queryable, accountId: SqlFragment, instanceId?: SqlFragment) => SqlFragment;

export interface AccountChoice {
  /** A query for the ids of all that can fit, perhaps more than once; null if they are many. */
  readonly few: ((q: Queryable) => SqlFragment) | null;
  /** Whether the account with this id fits, looked up row by row; its instance too, unless a column has that. */
  readonly fits: Fits;
  /** The same of those that `few` gives: what is not said by that. */
  readonly remaining: Fits;
}

/** Sorting these takes a few milliseconds; of more, one in fifty accounts of a large domain fits. */
const mostOfFew = 2000;

interface Condition {
  readonly ids: (q: Queryable) => SqlFragment;
  readonly fits: Fits;
}

export async function chooseAccounts(q: Queryable, asked: AccountConditions): Promise<AccountChoice> {
  const conditions = conditionsOf(asked);
  const first = await firstOfFew(q, conditions, asked.accountId !== undefined);
  const all = (of: readonly Condition[]): Fits => {
    return (inner, ...account) =>
      of.reduce((parts, { fits }) => inner`${parts} and ${fits(inner, ...account)}`, inner`true`);
  };
  return {
    few: first?.ids ?? null,
    fits: all(conditions),
    remaining: all(conditions.filter((condition) => condition !== first)),
  };
}

/** The first of them that leaves few accounts. */
async function firstOfFew(
  q: Queryable,
  conditions: readonly Condition[],
  isOne: boolean,
): Promise<Condition | undefined> {
  if (isOne) return conditions[0];
  for (const condition of conditions) {
    const [row] = await q<{ few: boolean }[]>`
      select count(*) <= ${mostOfFew} as few from (${condition.ids(q)} limit ${mostOfFew + 1}) c`;
    if (row?.few === true) return condition;
  }
  return undefined;
}

function conditionsOf({ accountId, instanceId, groupId, within = null }: AccountConditions): readonly Condition[] {
  return [
    ...(accountId === undefined ? [] : [isOne(accountId)]),
    ...(within === null ? [] : [isMember(within)]),
    ...(groupId === undefined ? [] : [isMember([groupId])]),
    ...(instanceId === undefined ? [] : [isOf(instanceId)]),
  ];
}

function isOne(id: string): Condition {
  return { ids: (q) => q`select ${id}::uuid as id`, fits: (q, accountId) => q`${accountId} = ${id}` };
}

function isMember(groups: readonly string[]): Condition {
  return {
    // In the order of the index that has the accounts of each group side by side: else all members may be read.
    ids: (q) => q`${membersOf(q, groups)} order by group_id, account_id`,
    fits: (q, accountId) => isAccountWithin(q, accountId, groups),
  };
}

function isOf(instance: string): Condition {
  return {
    ids: (q) => q`select id from account where instance_id = ${instance}`,
    fits: (q, accountId, ownInstance) =>
      ownInstance === undefined
        ? // A scalar subquery, as in `isAccountWithin`.
          q`(select true from account f where f.id = ${accountId} and f.instance_id = ${instance})`
        : q`${ownInstance} = ${instance}`,
  };
}
