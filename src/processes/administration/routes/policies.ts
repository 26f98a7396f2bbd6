/** IT policies: their rules, their assignments, and the deliveries due after a change. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { lockAccountByName, membersOfGroup } from '../../../accounts/account-selection.ts';
import { accountsUnderPolicy, assignmentsOf } from '../../../accounts/policy-reach.ts';
import { itPolicyOperations } from '../../../api/it-policies.ts';
import { accountNameOf } from '../../../base/account-name.ts';
import { BrambleError } from '../../../base/errors.ts';
import { notFound } from '../../../base/not-found.ts';
import type { Transaction } from '../../../database/connection.ts';
import {
  assignAccountPolicy,
  assignGroupPolicy,
  deletePolicy,
  findPolicy,
  insertPolicy,
  listPolicies,
  replacePolicyRules,
} from '../../../policies/policy-store.ts';
import { featuresNeeded } from '../../../policies/rules.ts';
import { requireFeature } from '../../../registry/features.ts';
import { refuseStale } from '../../../rest/etag.ts';
import { serve } from '../../../rest/serve.ts';
import { type AdministrationContext, write } from '../context.ts';
import { owePolicy } from '../owed-policies.ts';

export function policyRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, itPolicyOperations.list, async () => ({ policies: await listPolicies(context.db) }));

    serve(app, itPolicyOperations.create, async (request) => {
      const { name: policyName, rules: given } = request.body;
      if (policyName === 'rules') throw new BrambleError('ERR_NAME', 'An IT policy cannot be named "rules".');
      return await write(context, async (tx) => {
        await requireRuleFeatures(context, tx, given);
        return await insertPolicy(tx, policyName, given);
      });
    });

    serve(app, itPolicyOperations.show, async (request) => {
      const policy = await findPolicy(context.db, request.params.name);
      if (policy === undefined) throw notFound('IT policy', request.params.name);
      return { ...policy, assigned: await assignmentsOf(context.db, policy.id, actorOf(request).groups) };
    });

    serve(
      app,
      itPolicyOperations.replaceRules,
      async (request) =>
        await write(context, async (tx) => {
          await refuseStale(tx, request, { table: 'it_policy', key: request.params.name });
          await requireRuleFeatures(context, tx, request.body.rules);
          const policy = await replacePolicyRules(tx, request.params.name, request.body.rules);
          if (policy === 'not-found') throw notFound('IT policy', request.params.name);
          return {
            ...policy,
            deliveriesOwed: await owePolicy(tx, context.platforms, await accountsUnderPolicy(tx, policy.id)),
          };
        }),
    );

    serve(
      app,
      itPolicyOperations.delete,
      async (request) =>
        await write(context, async (tx) => {
          await refuseStale(tx, request, { table: 'it_policy', key: request.params.name });
          const policy = await findPolicy(tx, request.params.name);
          if (policy === undefined) throw notFound('IT policy', request.params.name);
          const accounts = await accountsUnderPolicy(tx, policy.id);
          await deletePolicy(tx, policy.name);
          return { deliveriesOwed: await owePolicy(tx, context.platforms, accounts) };
        }),
    );
  };
}

export function policyAssignmentRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(
      app,
      itPolicyOperations.assignToAccount,
      async (request) =>
        await write(context, async (tx) => {
          const accountId = await lockAccountByName(tx, accountNameOf(request.params.name));
          if (accountId === undefined) throw notFound('account', request.params.name);
          await assignAccountPolicy(tx, accountId, await policyIdOf(tx, request.body.policy));
          return { deliveriesOwed: await owePolicy(tx, context.platforms, [accountId]) };
        }),
    );

    serve(
      app,
      itPolicyOperations.assignToGroup,
      async (request) =>
        await write(context, async (tx) => {
          const group = await membersOfGroup(tx, request.params.name);
          if (group === undefined) throw notFound('group', request.params.name);
          await assignGroupPolicy(tx, group.id, await policyIdOf(tx, request.body.policy));
          return { deliveriesOwed: await owePolicy(tx, context.platforms, group.accountIds) };
        }),
    );
  };
}

/** Earlier releases may still read the stored policies: rules that they lack have to wait until none is left. */
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

async function policyIdOf(tx: Transaction, policyName: string | null): Promise<string | null> {
  if (policyName === null) return null;
  const policy = await findPolicy(tx, policyName);
  if (policy === undefined) throw notFound('IT policy', policyName);
  return policy.id;
}
