/** Administrators' tokens: with a role and an end, or without both. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byName, instant, name, nothing } from './shapes.ts';
import { typedName } from './typed-text.ts';

const tag = 'tokens';

/** Releases before 1.5 have names and times only: their tokens may do everything. */
const token = z.object({
  name: z.string(),
  createdAt: instant,
  revokedAt: instant.nullable(),
  role: z.string().nullable().describe('Null: it may do everything.').default(null),
  expiresAt: instant.nullable().default(null),
  createdBy: z.string().nullable().describe('Null if nobody noted it.').default(null),
});

export const tokenOperations = {
  list: {
    right: 'access.read',
    ...{ method: 'GET', path: '/tokens', tag, summary: 'List tokens, revoked ones included' },
    ...smallList('tokens', token, { sorts: ['name', 'createdAt', 'role'], unique: 'name', filters: ['role'] }),
  },
  create: {
    right: 'access.write',
    ...{ method: 'POST', path: '/tokens', tag, summary: 'Create a token; it is shown once' },
    description: 'Without a role it may do everything and has no end, as every token of releases before 1.5.',
    body: z
      .object({
        name: typedName,
        role: name.optional().describe('What it may do; not more than who creates it.'),
        expiresAt: instant.optional().describe('From then on it is refused. Default: it has no end.'),
      })
      .refine((body) => body.role !== undefined || body.expiresAt === undefined, {
        message: 'a token without a role has no end: name a role, such as security',
        path: ['expiresAt'],
      }),
    status: 201,
    answer: z.object({ name: z.string(), token: z.string() }),
  },
  revoke: {
    right: 'access.write',
    ...{ method: 'DELETE', path: '/tokens/:name', tag, summary: 'Revoke a token' },
    params: byName,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
