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
  groups: z
    .array(z.string())
    .nullable()
    .describe('Those that it is limited to, of which some may be gone; null if it is not limited.')
    .default(null),
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
        groups: z
          .array(name)
          .min(1)
          .max(100)
          .optional()
          .describe(
            'It is limited to these groups, their accounts, and what belongs to these. Default: it is not limited.',
          ),
        expiresAt: instant.optional().describe('From then on it is refused. Default: it has no end.'),
      })
      .refine(({ role, groups, expiresAt }) => role !== undefined || (groups ?? expiresAt) === undefined, {
        message: 'a token without a role has no groups and no end',
        path: ['role'],
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
