/**
 * Holds who is limited to groups to what is in them. Invariant: what is outside is answered as what does not exist, whatever is
 * asked of it. What is taken out of his groups between this look and the change that he asks for, he still changes.
 */
import type { FastifyInstance } from 'fastify';
import { seesAccount, seesGroup } from '../../accounts/account-scope.ts';
import type { Scope } from '../../api/operation.ts';
import { accountNameOf } from '../../base/account-name.ts';
import type { BrambleError } from '../../base/errors.ts';
import { notFound } from '../../base/not-found.ts';
import type { Queryable } from '../../database/connection.ts';
import { seesCommand, seesDevice } from '../../devices/device-scope.ts';
import { seesMoveBatch } from '../../moves/batch-scope.ts';

type Params = Readonly<Record<'name' | 'account' | 'id' | 'batch', string>>;
/** Says what the path names that is not there for him. */
type Look = (q: Queryable, params: Params, within: readonly string[]) => Promise<BrambleError | null>;

const account: Look = async (q, { name }, within) =>
  (await seesAccount(q, accountNameOf(name), within)) ? null : notFound('account', name);
const group: Look = async (q, { name }, within) =>
  (await seesGroup(q, name, within)) ? null : notFound('group', name);

const looks: Readonly<Record<Scope, Look>> = {
  account,
  group,
  // To put an account into one's own group is to take it.
  membership: async (q, params, within) =>
    (await group(q, params, within)) ?? (await account(q, { ...params, name: params.account }, within)),
  device: async (q, { id }, within) => ((await seesDevice(q, id, within)) ? null : notFound('device', id)),
  command: async (q, { id }, within) => ((await seesCommand(q, id, within)) ? null : notFound('command', id)),
  batch: async (q, { batch }, within) =>
    (await seesMoveBatch(q, batch, within)) ? null : notFound('batch of moves', batch),
  chosen: async () => null,
  common: async () => null,
};

/** Call it before the routes are registered. */
export function keepWithinGroups(app: FastifyInstance, q: Queryable): void {
  app.addHook('preHandler', async ({ actor, routeOptions, params }) => {
    const within = actor?.groups ?? null;
    const { scope } = routeOptions.config;
    if (within === null || scope === undefined) return;
    const missing = await looks[scope](q, params as Params, within);
    if (missing !== null) throw missing;
  });
}
