/** Signing in at an OpenID provider: not at the coordinator. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { name } from './shapes.ts';

const tag = 'sign-in';

/** A place within the console, and nothing that a browser could take for another host. */
const consolePlace = z
  .string()
  .max(500)
  .regex(/^\/([!-.0-[\]-~][!-[\]-~]*)?$/, 'must be a path of the console, such as /audit');

/** Where a provider sends the browser back to, on the console's origin; each has its own, so that none answers for another. */
export function returnPathOf(provider: string): string {
  return `/sign-in/openid/${provider}`;
}

export const openidOperations = {
  begin: {
    ...{ method: 'POST', path: '/sign-in/openid', tag, summary: 'Begin to sign in at an OpenID provider' },
    description:
      'The browser goes to `url`. The provider sends it back to `/sign-in/openid/NAME` of the page’s origin, from where the whole ' +
      'address is sent on, within ten minutes, from the same browser.',
    right: 'open',
    body: z.object({
      provider: name,
      returnTo: consolePlace.default('/').describe('Where the console goes on afterwards.'),
      fresh: z
        .boolean()
        .default(false)
        .describe('Has the provider ask again who is there, which is the proof that giving access takes.'),
    }),
    answer: z.object({ url: z.string() }),
  },
  finish: {
    ...{
      method: 'POST',
      path: '/sign-in/openid/return',
      tag,
      summary: 'Sign in with what an OpenID provider answered',
    },
    takesPassword: true,
    right: 'open',
    body: z.object({ url: z.string().min(1).max(8192).describe('The address that the provider sent the browser to.') }),
    answer: z.object({ returnTo: z.string() }),
  },
} as const satisfies Operations;
