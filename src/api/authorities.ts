/** The domain's authorities, and the rollover of the one that issues device identities. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { instant } from './shapes.ts';

const authorities = z.object({
  authorities: z.array(
    z.object({
      name: z.string(),
      subject: z.string(),
      fingerprint: z.string().describe('SHA-256 of the certificate.'),
      endsAt: instant,
    }),
  ),
  former: z
    .object({ valid: z.number(), ended: z.number() })
    .nullable()
    .describe(
      'Identities of the former device authority during a rollover: it is retired when none is valid any more.',
    ),
});
export type AuthorityList = z.output<typeof authorities>;
const tag = 'domain';

export const authorityOperations = {
  list: {
    ...{ method: 'GET', path: '/authorities', tag, summary: 'The authorities, and how far a rollover is' },
    answer: authorities,
  },
  roll: {
    ...{ method: 'POST', path: '/authorities/device/roll', tag },
    summary: 'Replace the device authority: a second one issues identities, and devices renew theirs',
    status: 201,
    answer: authorities,
  },
} as const satisfies Operations;
