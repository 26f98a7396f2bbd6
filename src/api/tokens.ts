/** Administrator tokens. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { byName, instant, nothing } from './shapes.ts';
import { typedName } from './typed-text.ts';

const tag = 'tokens';

export const tokenOperations = {
  list: {
    right: 'access.read',
    ...{ method: 'GET', path: '/tokens', tag, summary: 'List administrator tokens, revoked ones included' },
    answer: z.object({
      tokens: z.array(z.object({ name: z.string(), createdAt: instant, revokedAt: instant.nullable() })),
    }),
  },
  create: {
    right: 'access.write',
    ...{ method: 'POST', path: '/tokens', tag, summary: 'Create an administrator token; it is shown once' },
    body: z.object({ name: typedName }),
    status: 201,
    answer: z.object({ name: z.string(), token: z.string() }),
  },
  revoke: {
    right: 'access.write',
    ...{ method: 'DELETE', path: '/tokens/:name', tag, summary: 'Revoke an administrator token' },
    params: byName,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
