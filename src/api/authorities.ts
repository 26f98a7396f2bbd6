/** The domain's authorities and signers, and how they are replaced. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { instant, word } from './shapes.ts';

const authorities = z.object({
  authorities: z.array(
    z.object({
      name: z.string(),
      subject: z.string(),
      fingerprint: z.string().describe('SHA-256 of the certificate.'),
      endsAt: instant,
    }),
  ),
  device: z
    .object({ validIdentities: z.number(), endedIdentities: z.number() })
    .nullable()
    .describe(
      'The rollover of the device authority, by identities of the former one: it is retired when none is valid any more.',
    ),
  routeSigner: z
    .object({ waitsFor: z.array(z.string()).describe('Instances that are not known to sign by the new one.') })
    .nullable()
    .default(null)
    .describe('The rollover of the route signer, while there is a former one.'),
  domain: z
    .object({
      state: word('begun', 'switched').describe(
        '`begun`: both are trusted, the former issues. `switched`: the new one does.',
      ),
      waitsFor: z.array(z.string()).describe('What is not ready for the next step.'),
    })
    .nullable()
    .default(null)
    .describe('The rollover of the domain authority.'),
});
export type AuthorityList = z.output<typeof authorities>;
const tag = 'domain';

export const authorityOperations = {
  list: {
    right: 'servers.read',
    ...{ method: 'GET', path: '/authorities', tag, summary: 'The authorities, and how far a rollover is' },
    answer: authorities,
  },
  rollDevice: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/authorities/device/roll', tag },
    summary: 'Replace the device authority: a second one issues identities, and devices renew theirs',
    status: 201,
    answer: authorities,
  },
  rollRouteSigner: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/authorities/route-signer/roll', tag },
    summary: 'Replace the route signer: instances sign by a second one, and routers believe both',
    status: 201,
    answer: authorities,
  },
  revertRouteSigner: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/authorities/route-signer/revert', tag },
    summary: 'Sign routes by the former route signer again',
    answer: authorities,
  },
  retireRouteSigner: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/authorities/route-signer/retire', tag },
    summary: 'Retire the former route signer: routers refuse what it signed',
    answer: authorities,
  },
  rollDomain: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/authorities/domain/roll', tag },
    summary: 'Make a successor of the domain authority: both are trusted, the former issues',
    status: 201,
    answer: authorities,
  },
  switchDomain: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/authorities/domain/switch', tag },
    summary: 'Issue by the successor of the domain authority: holders renew what they are known by',
    answer: authorities,
  },
  revertDomain: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/authorities/domain/revert', tag },
    summary: 'Turn back one step of the rollover of the domain authority',
    answer: authorities,
  },
  retireDomain: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/authorities/domain/retire', tag },
    summary: 'Retire the former domain authority: nothing trusts it any more',
    answer: authorities,
  },
} as const satisfies Operations;
