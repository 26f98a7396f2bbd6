/** IT policies, the rules that they can contain, and their assignments. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byName, freeForm, instant, name, owedDeliveries, revision } from './shapes.ts';
import { typedName } from './typed-text.ts';

const ruleValue = z.union([z.boolean(), z.number(), z.string()]);
const policy = z.object({
  id: z.string(),
  name: z.string(),
  preconfigured: z.boolean(),
  rules: z.record(z.string(), ruleValue),
  changedAt: instant,
  revision,
});
export type ItPolicy = z.output<typeof policy>;

const rule = z.object({
  name: z.string(),
  group: z.string(),
  description: z.string(),
  least: z.record(z.string(), z.string()).describe('The minimum version of each device family that supports it.'),
  values: freeForm.describe('JSON Schema of its value.').default({}),
  default: ruleValue.nullable().describe('The default if no policy sets it.').default(null),
  feature: z.string().nullable().describe('The feature that must be active before a policy may set it.').default(null),
});

/** Of an account or a group; null removes its own. */
const assignment = z.object({ policy: name.nullable() });
const tag = 'it-policies';

export const itPolicyOperations = {
  list: {
    right: 'policies.read',
    scope: 'common',
    ...{ method: 'GET', path: '/it-policies', tag, summary: 'List IT policies' },
    ...smallList('policies', policy, { sorts: ['name', 'changedAt'], unique: 'name' }),
  },
  create: {
    revised: true,
    right: 'policies.write',
    ...{ method: 'POST', path: '/it-policies', tag, summary: 'Create an IT policy' },
    body: z.object({ name: typedName, rules: freeForm.default({}) }),
    status: 201,
    answer: policy,
  },
  listRules: {
    right: 'policies.read',
    scope: 'common',
    ...{ method: 'GET', path: '/it-policies/rules', tag },
    summary: 'The IT policy rules of this release',
    ...smallList('rules', rule, { sorts: ['name', 'group'], unique: 'name', filters: ['group'] }),
  },
  show: {
    revised: true,
    right: 'policies.read',
    scope: 'chosen',
    ...{ method: 'GET', path: '/it-policies/:name', tag, summary: 'Show an IT policy' },
    params: byName,
    answer: policy.extend({
      assigned: z.object({ accounts: z.number(), groups: z.number(), devices: z.number() }),
    }),
  },
  replaceRules: {
    revised: true,
    right: 'policies.write',
    ...{ method: 'PUT', path: '/it-policies/:name', tag },
    summary: 'Replace the rules of an IT policy; the new one is sent to every device that it applies to',
    params: byName,
    body: z.object({ rules: freeForm }),
    answer: policy.extend(owedDeliveries.shape),
  },
  delete: {
    revised: true,
    right: 'policies.write',
    ...{ method: 'DELETE', path: '/it-policies/:name', tag },
    summary: 'Delete an IT policy; the next policy in order then applies to its accounts',
    params: byName,
    answer: owedDeliveries,
  },
  assignToAccount: {
    right: 'policies.assign',
    scope: 'account',
    ...{ method: 'PUT', path: '/accounts/:name/it-policy', tag },
    summary: 'Assign an IT policy to an account, or remove the account’s own',
    params: byName,
    body: assignment,
    answer: owedDeliveries,
  },
  assignToGroup: {
    right: 'policies.assign',
    scope: 'group',
    ...{ method: 'PUT', path: '/groups/:name/it-policy', tag },
    summary: 'Assign an IT policy to a group, or remove it',
    params: byName,
    body: assignment,
    answer: owedDeliveries,
  },
} as const satisfies Operations;
