/** SRP credentials: issue, list, revoke, and lift a suspension. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { freeForm, instant } from './shapes.ts';

const identifier = z.string().regex(/^[SC]\d{8}$/, 'use S or C and eight digits');
const credential = z.object({
  serial: z.string(),
  identifier: z.string(),
  issuedAt: instant,
  expiresAt: instant,
  revokedAt: instant.nullable(),
});
/** A change of the list that routers get. */
const listChange = z.object({ identifier: z.string(), listNumber: z.number() });
const credentials = smallList('credentials', credential, {
  sorts: ['identifier', 'issuedAt', 'expiresAt'],
  unique: 'serial',
});
const tag = 'srp';

export const srpCredentialOperations = {
  list: {
    right: 'servers.read',
    ...{ method: 'GET', path: '/srp-credentials', tag },
    summary: 'Credentials that have not expired, newest first for each identifier',
    ...credentials,
    query: credentials.query.extend({ identifier: identifier.optional() }),
  },
  issue: {
    right: 'credentials.write',
    ...{ method: 'POST', path: '/srp-credentials', tag },
    summary: 'Issue another credential; earlier ones stay valid until revoked',
    body: z.object({ identifier }),
    status: 201,
    answer: z.object({
      serial: z.string(),
      identifier: z.string(),
      expiresAt: instant,
      path: z.string().nullable().describe('Path of the file on the host of this administration service.'),
      credential: freeForm.nullable().describe('The file itself, shown once, if its holder is on another host.'),
    }),
  },
  revoke: {
    right: 'credentials.write',
    ...{ method: 'DELETE', path: '/srp-credentials/:serial', tag },
    summary: 'Revoke a credential; routers refuse it and close its links',
    params: z.object({ serial: z.string().regex(/^[0-9a-fA-F]{1,64}$/, 'use the hexadecimal serial') }),
    answer: listChange,
  },
  clear: {
    right: 'credentials.write',
    ...{ method: 'POST', path: '/srp-credentials/:identifier/clear', tag },
    summary: 'Lift the suspension of an identifier',
    params: z.object({ identifier }),
    answer: listChange,
  },
} as const satisfies Operations;
