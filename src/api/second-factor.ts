/** Of whom a second factor is asked when he signs in. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { name } from './shapes.ts';

/** The setting 'second-factor'. */
export const secondFactorRule = z.object({
  everybody: z.boolean().default(false),
  roles: z.array(name).max(100).default([]),
});
export type SecondFactorRule = z.output<typeof secondFactorRule>;

const shownRule = secondFactorRule.extend({
  lacking: z.array(z.string()).describe('Who has yet to set one up, and can do nothing else until then.'),
});
export type ShownSecondFactorRule = z.output<typeof shownRule>;

const tag = 'administrators';

export const secondFactorOperations = {
  show: {
    revised: true,
    right: 'access.read',
    ...{ method: 'GET', path: '/second-factor', tag, summary: 'Of whom a second factor is asked' },
    answer: shownRule,
  },
  change: {
    revised: true,
    right: 'access.write',
    ...{ method: 'PUT', path: '/second-factor', tag, summary: 'Ask everybody for a second factor, or certain roles' },
    description:
      'A passkey, or a password with an authenticator. Sessions without one are good for nothing else from then on. Who asks for it has one himself.',
    body: secondFactorRule,
    answer: shownRule,
  },
} as const satisfies Operations;
