/** Groups of accounts and their members. A change of members owes the account its IT policy again. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
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
import { typedName } from '../../../api/typed-text.ts';
import { accountNameOf } from '../../../base/account-name.ts';
import { BrambleError } from '../../../base/errors.ts';
import { announceDeliveries, oweDeliveries } from '../../../deliveries/owe-deliveries.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { name, nothing } from '../shapes.ts';

const groupShape = z.object({ id: z.string(), name: z.string(), rank: z.number(), memberCount: z.number() });
const membership = z.object({ name, account: name });
const tags = ['groups'];

export function groupRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  async function changeMember(
    member: z.output<typeof membership>,
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
          {
            details: { what: 'member', name: accountName },
          },
        );
      }
      const account = changed === 'changed' ? await getAccount(tx, accountName) : undefined;
      if (account) {
        await oweDeliveries(tx, {
          accountIds: [account.id],
          cause: 'policy-change',
          budgeted: true,
          items: ['it-policy'],
        });
        await announceDeliveries(tx);
      }
      return changed;
    });
  }

  return async (app) => {
    app.route({
      method: 'GET',
      url: '/groups',
      schema: { tags, summary: 'List groups by rank', response: { 200: z.object({ groups: z.array(groupShape) }) } },
      handler: async () => ({ groups: await listGroups(context.db) }),
    });

    app.route({
      method: 'POST',
      url: '/groups',
      schema: {
        tags,
        summary: 'Create a group',
        body: z.object({ name: typedName, rank: z.number().int().min(1).max(1_000_000).optional() }),
        response: { 201: groupShape },
      },
      handler: async (request, reply) => {
        const group = await write(context, async (tx) => {
          const outcome = await createGroup(tx, request.body);
          if (outcome.kind === 'created') return outcome.group;
          throw outcome.kind === 'name-taken'
            ? new BrambleError('ERR_NAME_TAKEN', `A group named ${request.body.name} exists. Choose another name.`)
            : new BrambleError('ERR_RANK_TAKEN', `Another group has rank ${request.body.rank}. Choose another rank.`);
        });
        return await reply.status(201).send(group);
      },
    });

    app.route({
      method: 'DELETE',
      url: '/groups/:name',
      schema: {
        tags,
        summary: 'Delete a group; its members stay, and the effects of its IT policy on them are reverted',
        params: z.object({ name }),
        response: { 200: z.object({ members: z.number(), deliveriesOwed: z.number() }) },
      },
      handler: async (request) =>
        await write(context, async (tx) => {
          const group = await membersOfGroup(tx, request.params.name);
          if (group === undefined) throw notFound('group', request.params.name);
          await deleteGroup(tx, group.id);
          const owed = await oweDeliveries(tx, {
            accountIds: group.accountIds,
            cause: 'policy-change',
            budgeted: true,
            items: ['it-policy'],
          });
          await announceDeliveries(tx);
          return { members: group.accountIds.length, deliveriesOwed: owed.length };
        }),
    });

    app.route({
      method: 'GET',
      url: '/groups/:name/members',
      schema: {
        tags,
        summary: 'List the accounts of a group',
        params: z.object({ name }),
        response: { 200: z.object({ members: z.array(z.string()) }) },
      },
      handler: async (request) => {
        const members = await listGroupMembers(context.db, request.params.name);
        if (members === undefined) throw notFound('group', request.params.name);
        return { members };
      },
    });

    app.route({
      method: 'PUT',
      url: '/groups/:name/members/:account',
      schema: { tags, summary: 'Put an account into a group', params: membership, response: { 204: nothing } },
      handler: async (request, reply) => {
        await changeMember(request.params, addGroupMember);
        return await reply.status(204).send(null);
      },
    });

    app.route({
      method: 'DELETE',
      url: '/groups/:name/members/:account',
      schema: { tags, summary: 'Take an account out of a group', params: membership, response: { 204: nothing } },
      handler: async (request, reply) => {
        await changeMember(request.params, removeGroupMember);
        return await reply.status(204).send(null);
      },
    });
  };
}
