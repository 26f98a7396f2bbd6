/** What a request says of the accounts that its list is about, with the groups that whoever asks is limited to. */
import type { Actor } from '../../access/actor.ts';
import type { AccountConditions } from '../../accounts/account-choice.ts';
import { seesAccount } from '../../accounts/account-scope.ts';
import { getAccount } from '../../accounts/accounts.ts';
import { findGroup } from '../../accounts/groups.ts';
import { accountNameOf } from '../../base/account-name.ts';
import { notFound } from '../../base/not-found.ts';
import type { Queryable } from '../../database/connection.ts';
import { findInstance } from '../../instances/instances.ts';

interface AskedAccounts {
  readonly account?: string | undefined;
  readonly instance?: string | undefined;
  readonly group?: string | undefined;
}

/** @throws BrambleError ERR_NOT_FOUND for an account, an instance or a group that does not exist, or is out of reach */
export async function conditionsOf(
  q: Queryable,
  actor: Pick<Actor, 'groups'>,
  { account, instance, group }: AskedAccounts,
): Promise<AccountConditions> {
  const { groups: within } = actor;
  const accountId = account === undefined ? undefined : await findAccount(q, account, within);
  const instanceId = instance === undefined ? undefined : (await findInstance(q, instance))?.id;
  if (instance !== undefined && instanceId === undefined) throw notFound('instance', instance);
  const groupId = group === undefined ? undefined : await findGroup(q, group);
  if (group !== undefined && (groupId === undefined || within?.includes(groupId) === false)) {
    throw notFound('group', group);
  }
  return { accountId, instanceId, groupId, within };
}

async function findAccount(q: Queryable, name: string, within: Actor['groups']): Promise<string> {
  const account = await getAccount(q, accountNameOf(name));
  if (account === undefined || !(await seesAccount(q, account.name, within))) throw notFound('account', name);
  return account.id;
}
