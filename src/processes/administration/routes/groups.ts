/** Groups of accounts and their members. A change of members queues the account's IT policy again. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { listAccounts } from '../../../accounts/account-list.ts';
import { membersOfGroup } from '../../../accounts/account-selection.ts';
import { getAccount } from '../../../accounts/accounts.ts';
import {
  addGroupMember,
  createGroup,
  deleteGroup,
  listGroupMembers,
  listGroups,
  type MembershipOutcome,
  removeGroupMember,
} from '../../../accounts/groups.ts';
import { groupOperations } from '../../../api/groups.ts';
import { accountNameOf } from '../../../base/account-name.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import { refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { conditionsOf } from '../account-conditions.ts';
import { type AdministrationContext, write } from '../context.ts';
import { owePolicy } from '../owed-policies.ts';

export function groupRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, groupOperations.list, async (request) => ({
      groups: await listGroups(context.db, actorOf(request).groups),
    }));

    serve(app, groupOperations.create, async (request) => {
      return await write(context, async (tx) => {
        const outcome = await createGroup(tx, request.body);
        if (outcome.kind === 'created') return outcome.group;
        throw outcome.kind === 'name-taken'
          ? new BrambleError('ERR_NAME_TAKEN', `A group named ${request.body.name} exists. Choose another name.`)
          : new BrambleError('ERR_RANK_TAKEN', `Another group has rank ${request.body.rank}. Choose another rank.`);
      });
    });

    serve(
      app,
      groupOperations.delete,
      async (request) =>
        await write(context, async (tx) => {
          await refuseStale(tx, request, { table: 'account_group', key: request.params.name });
          // Of two who held it shared, neither could delete it.
          const group = await membersOfGroup(tx, request.params.name, 'update');
          if (group === undefined) throw notFound('group', request.params.name);
          await deleteGroup(tx, group.id);
          const deliveriesOwed = await owePolicy(tx, context.platforms, group.accountIds);
          return { members: group.accountIds.length, deliveriesOwed };
        }),
    );

    serve(app, groupOperations.listMembers, async (request) => {
      const { limit = request.query.after === undefined ? undefined : 1000, ...page } = request.query;
      const group = request.params.name;
      const conditions = await conditionsOf(context.db, actorOf(request), { group });
      if (limit !== undefined) {
        const { accounts, next } = await listAccounts(context.db, { ...conditions, ...page, limit });
        return { members: accounts.map(({ name }) => name), next };
      }
      return { members: (await listGroupMembers(context.db, group)) ?? [], next: null };
    });

    serve(app, groupOperations.addMember, async (request) => {
      await changeMember(context, request.params, addGroupMember);
    });

    serve(app, groupOperations.removeMember, async (request) => {
      await changeMember(context, request.params, removeGroupMember);
    });
  };
}

async function changeMember(
  context: AdministrationContext,
  member: { name: string; account: string },
  change: typeof addGroupMember,
): Promise<MembershipOutcome> {
  const accountName = accountNameOf(member.account);
  return await write(context, async (tx) => {
    const changed = await change(tx, member.name, accountName);
    if (changed === 'unknown-group') throw notFound('group', member.name);
    if (changed === 'unknown-account') throw notFound('account', member.account);
    if (changed === 'unchanged' && change === removeGroupMember) {
      throw new BrambleError(
        'ERR_NOT_FOUND',
        `The account ${accountName} is not a member of the group ${member.name}.`,
        { details: { what: 'member', name: accountName } },
      );
    }
    const account = changed === 'changed' ? await getAccount(tx, accountName) : undefined;
    if (account) await owePolicy(tx, context.platforms, [account.id]);
    return changed;
  });
}
