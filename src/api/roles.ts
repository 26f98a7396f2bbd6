/** Roles: the predefined ones and those of the domain's own. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { allRights } from './rights.ts';
import { byName, instant, nothing } from './shapes.ts';
import { typedName } from './typed-text.ts';

const role = z.object({
  name: z.string(),
  predefined: z.boolean(),
  rights: z.array(z.string()),
  createdAt: instant.nullable().describe('Null for a predefined one.'),
});
const rights = z.array(z.enum(allRights)).max(allRights.length).describe('None that who asks does not have.');
const right = z.object({
  name: z.string(),
  purpose: z.string(),
  inGroups: z.boolean().describe('Whether it remains to who is limited to groups.'),
});
const tag = 'roles';

export const roleOperations = {
  list: {
    right: 'access.read',
    ...{ method: 'GET', path: '/roles', tag, summary: 'List roles, and the rights that there are' },
    ...smallList('roles', role, { sorts: ['name', 'createdAt'], unique: 'name' }, { rights: z.array(right) }),
  },
  create: {
    right: 'access.write',
    ...{ method: 'POST', path: '/roles', tag, summary: 'Make a role of one’s own' },
    body: z.object({ name: typedName, rights }),
    status: 201,
    answer: role,
  },
  change: {
    right: 'access.write',
    ...{ method: 'PUT', path: '/roles/:name', tag },
    summary: 'Change what a role of one’s own may do, at once for all that have it',
    params: byName,
    body: z.object({ rights }),
    answer: role,
  },
  remove: {
    right: 'access.write',
    ...{ method: 'DELETE', path: '/roles/:name', tag, summary: 'Remove a role of one’s own that nobody has' },
    params: byName,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
