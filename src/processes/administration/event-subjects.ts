/** What a request for events says of those whom they are about, as the subjects that such events have. */
import type { Actor } from '../../access/actor.ts';
import { accountNameOf } from '../../base/account-name.ts';
import { notFound } from '../../base/not-found.ts';
import type { Queryable } from '../../database/connection.ts';
import { devicesOfAccount, seesDevice } from '../../devices/device-scope.ts';
import { findInstance } from '../../instances/instances.ts';
import { conditionsOf } from './account-conditions.ts';

type Asked = Readonly<Partial<Record<'subject' | 'account' | 'device' | 'instance', string | undefined>>>;

/**
 * Those that fit all that was asked; undefined if nothing was.
 * @throws BrambleError ERR_NOT_FOUND for an account or an instance that does not exist; of who is limited to groups, also for an account
 *   or a device outside of them
 */
export async function eventSubjects(
  q: Queryable,
  actor: Pick<Actor, 'groups'>,
  { subject, account, device, instance }: Asked,
): Promise<readonly string[] | undefined> {
  const choices = [
    ...(subject === undefined ? [] : [[subject]]),
    ...(account === undefined ? [] : [await ofAccount(q, actor, account)]),
    ...(device === undefined ? [] : [await ofDevice(q, actor, device)]),
    ...(instance === undefined ? [] : [await ofInstance(q, instance)]),
  ];
  return choices.length === 0
    ? undefined
    : choices.reduce((fitting, choice) => fitting.filter((one) => choice.includes(one)));
}

async function ofAccount(q: Queryable, actor: Pick<Actor, 'groups'>, name: string): Promise<string[]> {
  const { accountId = '' } = await conditionsOf(q, actor, { account: name });
  return [accountNameOf(name), ...(await devicesOfAccount(q, accountId))];
}

/** One that is gone has events still; who is limited sees of it what he sees of a device. */
async function ofDevice(q: Queryable, { groups }: Pick<Actor, 'groups'>, id: string): Promise<string[]> {
  if (groups !== null && !(await seesDevice(q, id, groups))) throw notFound('device', id);
  return [id.toLowerCase()];
}

async function ofInstance(q: Queryable, name: string): Promise<string[]> {
  const found = await findInstance(q, name);
  if (found === undefined) throw notFound('instance', name);
  return [found.name, found.srpIdentifier];
}
