/** What a request says of the accounts that its list is about, with the groups that whoever asks is limited to. */
import type { Actor } from '../../access/actor.ts';
import type { AccountConditions } from '../../accounts/account-choice.ts';
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

/** @throws BrambleError ERR_NOT_FOUND for an account, an instance or a group that does not exist */
export async function conditionsOf(
  q: Queryable,
  actor: Pick<Actor, 'groups'>,
  { account, instance, group }: AskedAccounts,
): Promise<AccountConditions> {
  const accountId = account === undefined ? undefined : (await getAccount(q, accountNameOf(account)))?.id;
  if (account !== undefined && accountId === undefined) throw notFound('account', account);
  const instanceId = instance === undefined ? undefined : (await findInstance(q, instance))?.id;
  if (instance !== undefined && instanceId === undefined) throw notFound('instance', instance);
  const groupId = group === undefined ? undefined : await findGroup(q, group);
  if (group !== undefined && groupId === undefined) throw notFound('group', group);
  return { accountId, instanceId, groupId, within: actor.groups };
}
