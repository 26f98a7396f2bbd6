/**
 * Which accounts a list is about: of an instance, of a group, of the groups that whoever asks is limited to. The one place where a
 * list of accounts, of devices, or of anything else that belongs to an account gets such conditions.
 *
 * Invariant: a list costs no more than a few thousand rows for them. Where they leave few accounts, it starts from these; where they
 * leave many, a walk along the list's own index soon finds enough that fit.
 */
import type { Queryable, SqlFragment } from '../database/connection.ts';

export interface AccountConditions {
  readonly accountId?: string | undefined;
  readonly instanceId?: string | undefined;
  readonly groupId?: string | undefined;
  /** Ids of groups, one of which an account has to be in; null for no such limit, and nothing at all for none of them. */
  readonly within?: readonly string[] | null | undefined;
}

export interface AccountChoice {
  /** All that can fit; null if they are many. */
  readonly few: readonly string[] | null;
  /** Whether the account with this id fits, looked up row by row; its instance too, unless a column has that. */
  readonly fits: (q: Queryable, accountId: SqlFragment, instanceId?: SqlFragment) => SqlFragment;
}

/** Sorting these takes a few milliseconds; of more, one in fifty accounts of a large domain fits. */
const mostOfFew = 2000;

export async function chooseAccounts(q: Queryable, conditions: AccountConditions): Promise<AccountChoice> {
  const { accountId, instanceId, groupId, within = null } = conditions;
  const fits: AccountChoice['fits'] = (inner, ...of) => fitting(inner, conditions, ...of);
  if (accountId !== undefined) return { few: [accountId], fits };
  const sources = [
    ...(within === null
      ? []
      : [q`select account_id as id from group_member where group_id = any(${within as string[]}::uuid[])`]),
    ...(groupId === undefined ? [] : [q`select account_id as id from group_member where group_id = ${groupId}`]),
    ...(instanceId === undefined ? [] : [q`select id from account where instance_id = ${instanceId}`]),
  ];
  let few: readonly string[] | null = null;
  for (const source of sources) {
    const rows = await q<{ id: string }[]>`${source} limit ${mostOfFew + 1}`;
    if (rows.length > mostOfFew) continue;
    few = [...new Set(rows.map(({ id }) => id))];
    break;
  }
  return { few, fits };
}

/**
 * Scalar subqueries: of an `exists` the planner may make a join, which reads every account before the first row. It takes their truth
 * for as likely as not, and walks the list's index.
 */
function fitting(
  q: Queryable,
  { instanceId, groupId, within = null }: AccountConditions,
  accountId: SqlFragment,
  ownInstance?: SqlFragment,
): SqlFragment {
  const isMember = (groups: readonly string[]) => q`
    (select true from group_member m where m.account_id = ${accountId} and m.group_id = any(${groups as string[]}::uuid[]) limit 1)`;
  const isOf = (instance: string) =>
    ownInstance === undefined
      ? q`(select true from account f where f.id = ${accountId} and f.instance_id = ${instance})`
      : q`${ownInstance} = ${instance}`;
  const parts = [
    ...(within === null ? [] : [isMember(within)]),
    ...(groupId === undefined ? [] : [isMember([groupId])]),
    ...(instanceId === undefined ? [] : [isOf(instanceId)]),
  ];
  return parts.reduce((all, part) => q`${all} and ${part}`, q`true`);
}
