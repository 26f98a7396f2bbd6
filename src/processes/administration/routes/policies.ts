/** IT policies: what they say, who they hold for, and the deliveries that a change makes due. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { lockAccountByName, membersOfGroup } from '../../../accounts/account-selection.ts';
import { typedName } from '../../../api/typed-text.ts';
import { accountNameOf } from '../../../base/account-name.ts';
import { BrambleError } from '../../../base/errors.ts';
import type { Transaction } from '../../../database/connection.ts';
import { announceDeliveries, oweDeliveries } from '../../../deliveries/owe-deliveries.ts';
import {
  accountsUnderPolicy,
  assignAccountPolicy,
  assignGroupPolicy,
  assignmentsOf,
  deletePolicy,
  findPolicy,
  insertPolicy,
  listPolicies,
  replacePolicyRules,
} from '../../../policies/policy-store.ts';
import { featuresNeeded } from '../../../policies/rules.ts';
import { requireFeature } from '../../../registry/features.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { type AdministrationContext, write } from '../context.ts';
import { instant, jsonObject, name } from '../shapes.ts';

const policyShape = z.object({
  id: z.string(),
  name: z.string(),
  preconfigured: z.boolean(),
  rules: z.record(z.string(), z.union([z.boolean(), z.number(), z.string()])),
  changedAt: instant,
});
const assignmentsShape = z.object({ accounts: z.number(), groups: z.number(), devices: z.number() });
const params = z.object({ name });
const assignment = z.object({ policy: name.nullable() });
const owedShape = z.object({ deliveriesOwed: z.number() });
const tags = ['it-policies'];

export function policyRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/it-policies',
      schema: { tags, summary: 'List IT policies', response: { 200: z.object({ policies: z.array(policyShape) }) } },
      handler: async () => ({ policies: await listPolicies(context.db) }),
    });

    app.route({
      method: 'POST',
      url: '/it-policies',
      schema: {
        tags,
        summary: 'Create an IT policy',
        body: z.object({ name: typedName, rules: jsonObject.default({}) }),
        response: { 201: policyShape },
      },
      handler: async (request, reply) => {
        const { name: policyName, rules: given } = request.body;
        if (policyName === 'rules') throw new BrambleError('ERR_NAME', 'An IT policy cannot be named "rules".');
        const policy = await write(context, async (tx) => {
          await requireRuleFeatures(context, tx, given);
          return await insertPolicy(tx, policyName, given);
        });
        return await reply.status(201).send(policy);
      },
    });

    app.route({
      method: 'GET',
      url: '/it-policies/:name',
      schema: {
        tags,
        summary: 'Show an IT policy',
        params,
        response: { 200: policyShape.extend({ assigned: assignmentsShape }) },
      },
      handler: async (request) => {
        const policy = await findPolicy(context.db, request.params.name);
        if (policy === undefined) throw notFound('IT policy', request.params.name);
        return { ...policy, assigned: await assignmentsOf(context.db, policy.id) };
      },
    });

    app.route({
      method: 'PUT',
      url: '/it-policies/:name',
      schema: {
        tags,
        summary: 'Replace the rules of an IT policy; the new one is sent to every device that it applies to',
        params,
        body: z.object({ rules: jsonObject }),
        response: { 200: policyShape.extend(owedShape.shape) },
      },
      handler: async (request) =>
        await write(context, async (tx) => {
          await requireRuleFeatures(context, tx, request.body.rules);
          const policy = await replacePolicyRules(tx, request.params.name, request.body.rules);
          if (policy === 'not-found') throw notFound('IT policy', request.params.name);
          return { ...policy, deliveriesOwed: await owePolicy(tx, await accountsUnderPolicy(tx, policy.id)) };
        }),
    });

    app.route({
      method: 'DELETE',
      url: '/it-policies/:name',
      schema: {
        tags,
        summary: 'Delete an IT policy; the next policy in order then applies to its accounts',
        params,
        response: { 200: owedShape },
      },
      handler: async (request) =>
        await write(context, async (tx) => {
          const policy = await findPolicy(tx, request.params.name);
          if (policy === undefined) throw notFound('IT policy', request.params.name);
          const accounts = await accountsUnderPolicy(tx, policy.id);
          await deletePolicy(tx, policy.name);
          return { deliveriesOwed: await owePolicy(tx, accounts) };
        }),
    });
  };
}

export function policyAssignmentRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'PUT',
      url: '/accounts/:name/it-policy',
      schema: {
        tags,
        summary: 'Assign an IT policy to an account, or remove the account’s own',
        params,
        body: assignment,
        response: { 200: owedShape },
      },
      handler: async (request) =>
        await write(context, async (tx) => {
          const accountId = await lockAccountByName(tx, accountNameOf(request.params.name));
          if (accountId === undefined) throw notFound('account', request.params.name);
          await assignAccountPolicy(tx, accountId, await policyIdOf(tx, request.body.policy));
          return { deliveriesOwed: await owePolicy(tx, [accountId]) };
        }),
    });

    app.route({
      method: 'PUT',
      url: '/groups/:name/it-policy',
      schema: {
        tags,
        summary: 'Assign an IT policy to a group, or remove it',
        params,
        body: assignment,
        response: { 200: owedShape },
      },
      handler: async (request) =>
        await write(context, async (tx) => {
          const group = await membersOfGroup(tx, request.params.name);
          if (group === undefined) throw notFound('group', request.params.name);
          await assignGroupPolicy(tx, group.id, await policyIdOf(tx, request.body.policy));
          return { deliveriesOwed: await owePolicy(tx, group.accountIds) };
        }),
    });
  };
}

/** Earlier releases may still read what is stored: rules that they lack wait until none of them is left. */
async function requireRuleFeatures(
  context: AdministrationContext,
  tx: Transaction,
  given: Readonly<Record<string, unknown>>,
): Promise<void> {
  const names = Object.keys(given);
  for (const feature of featuresNeeded(names)) {
    const held = names.filter((ruleName) => featuresNeeded([ruleName]).includes(feature));
    await requireFeature(tx, context.features, feature, `Setting ${held.join(', ')}`);
  }
}

async function owePolicy(tx: Transaction, accountIds: readonly string[]): Promise<number> {
  const owed = await oweDeliveries(tx, { accountIds, cause: 'policy-change', budgeted: true, items: ['it-policy'] });
  await announceDeliveries(tx);
  return owed.length;
}

async function policyIdOf(tx: Transaction, policyName: string | null): Promise<string | null> {
  if (policyName === null) return null;
  const policy = await findPolicy(tx, policyName);
  if (policy === undefined) throw notFound('IT policy', policyName);
  return policy.id;
}
