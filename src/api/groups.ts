/** Groups of accounts and their members. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { next, pageQuery, smallList } from './paging.ts';
import { byName, listLimit, name, nothing, owedDeliveries, revision } from './shapes.ts';
import { typedName } from './typed-text.ts';

const group = z.object({ id: z.string(), name: z.string(), rank: z.number(), memberCount: z.number(), revision });
const membership = z.object({ name, account: name });
const tag = 'groups';

export const groupOperations = {
  list: {
    right: 'groups.read',
    scope: 'chosen',
    ...{ method: 'GET', path: '/groups', tag, summary: 'List groups by rank' },
    ...smallList('groups', group, { sorts: ['rank', 'name', 'memberCount'], unique: 'name' }),
  },
  create: {
    revised: true,
    right: 'groups.write',
    ...{ method: 'POST', path: '/groups', tag, summary: 'Create a group' },
    body: z.object({ name: typedName, rank: z.number().int().min(1).max(1_000_000).optional() }),
    status: 201,
    answer: group,
  },
  delete: {
    revised: true,
    right: 'groups.write',
    ...{ method: 'DELETE', path: '/groups/:name', tag },
    summary: 'Delete a group; its members stay, and the effects of its IT policy on them are reverted',
    params: byName,
    answer: owedDeliveries.extend({ members: z.number() }),
  },
  listMembers: {
    right: 'groups.read',
    scope: 'group',
    ...{ method: 'GET', path: '/groups/:name/members', tag, summary: 'List the accounts of a group' },
    params: byName,
    query: z.object(pageQuery(['name'], listLimit(1000).optional())),
    answer: z.object({ members: z.array(z.string()), next }),
  },
  addMember: {
    right: 'groups.assign',
    scope: 'membership',
    ...{ method: 'PUT', path: '/groups/:name/members/:account', tag, summary: 'Put an account into a group' },
    params: membership,
    status: 204,
    answer: nothing,
  },
  removeMember: {
    right: 'groups.assign',
    scope: 'membership',
    ...{ method: 'DELETE', path: '/groups/:name/members/:account', tag, summary: 'Take an account out of a group' },
    params: membership,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
