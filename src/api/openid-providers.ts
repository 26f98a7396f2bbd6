/** OpenID providers at which administrators sign in, and who gets which role there. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { instant, name, nothing, revision } from './shapes.ts';
import { typedText } from './typed-text.ts';

const tag = 'openid-providers';

const providerName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'use lower-case letters, digits and hyphens');
const byProvider = z.object({ name });

const claimText = 'A claim of the ID token or of the user info; dots lead into objects, as in `realm_access.roles`.';
const claim = typedText(200).min(1).describe(claimText);
const scopes = z
  .array(z.string().regex(/^[!#-[\]-~]{1,100}$/, 'must be the name of a scope'))
  .max(20)
  .describe('`openid` is always asked for.');

const rule = z.object({
  value: typedText(300).min(1).describe('What the claim has to be, or to have among others.'),
  role: name,
  groups: z.array(name).max(1000).nullable().default(null).describe('What he is limited to; null if he is not.'),
});
const rules = z
  .array(rule)
  .max(100)
  .describe(
    'The first that fits gives the role; of further ones with this role, the groups count too. Without one, nobody is let in.',
  );

/** Administrators name it; where it is shown, their texts may be of a later release. */
const provider = z.object({
  name: z.string(),
  title: z.string(),
  issuer: z.string(),
  clientId: z.string(),
  hasSecret: z.boolean(),
  scopes: z.array(z.string()),
  nameClaim: z.string(),
  claim: z.string(),
  rules: z.array(z.object({ value: z.string(), role: z.string(), groups: z.array(z.string()).nullable() })),
  caPem: z.string().nullable(),
  asksFactor: z.boolean(),
  enabled: z.boolean(),
  returnPath: z
    .string()
    .describe('Behind the console’s origin, the address that the provider is to know as redirect URI.'),
  administrators: z.number().describe('Who have signed in there.'),
  createdAt: instant,
  createdBy: z.string(),
  revision,
});
export type ProviderView = z.output<typeof provider>;

const secret = z.string().min(1).max(1000).describe('It is never shown again.');
const caPem = z.string().max(100_000).nullable().describe('The CA that is trusted instead of the system’s.');
const asksFactor = z
  .boolean()
  .describe(
    'Whether it asks everybody for a second factor: taken for shown even where its answers do not say so (`mfa` in `amr`).',
  );
const title = typedText(60).min(1).describe('What the sign-in page calls it.');
const clientId = typedText(500).min(1);

const newProvider = z.object({
  name: providerName,
  title: title.optional().describe('What the sign-in page calls it. Default: its name.'),
  issuer: z.string().max(500).describe('As the provider writes it: https, without query. It never changes.'),
  clientId,
  secret: secret.optional(),
  scopes: scopes.default(['profile']),
  nameClaim: claim.default('preferred_username').describe(`What a new administrator is named after. ${claimText}`),
  claim: claim.default('groups').describe(`What the rules look at. ${claimText}`),
  rules: rules.default([]),
  caPem: caPem.default(null),
  asksFactor: asksFactor.default(false),
});
export type NewProvider = z.output<typeof newProvider>;

const change = z.object({
  title: title.optional(),
  clientId: clientId.optional(),
  secret: secret.nullable().optional().describe('Null for a client without one.'),
  scopes: scopes.optional(),
  nameClaim: claim.optional(),
  claim: claim.optional(),
  rules: rules.optional(),
  caPem: caPem.optional(),
  asksFactor: asksFactor.optional(),
  enabled: z.boolean().optional(),
});
export type ProviderChange = z.output<typeof change>;

export const openidProviderOperations = {
  list: {
    right: 'access.read',
    ...{ method: 'GET', path: '/openid-providers', tag, summary: 'List OpenID providers, with who gets which role' },
    ...smallList('providers', provider, { sorts: ['name', 'createdAt'], unique: 'name' }),
  },
  show: {
    revised: true,
    right: 'access.read',
    ...{ method: 'GET', path: '/openid-providers/:name', tag, summary: 'Show an OpenID provider' },
    params: byProvider,
    answer: provider,
  },
  add: {
    revised: true,
    right: 'access.write',
    ...{ method: 'POST', path: '/openid-providers', tag, summary: 'Let administrators sign in at an OpenID provider' },
    description: 'Nobody gives a role by a rule that he could not give himself.',
    body: newProvider,
    status: 201,
    answer: provider,
  },
  change: {
    revised: true,
    right: 'access.write',
    ...{ method: 'PATCH', path: '/openid-providers/:name', tag, summary: 'Change an OpenID provider' },
    description: 'Sessions that began there end, unless only the title changes.',
    params: byProvider,
    body: change,
    answer: provider,
  },
  remove: {
    revised: true,
    right: 'access.write',
    ...{
      method: 'DELETE',
      path: '/openid-providers/:name',
      tag,
      summary: 'Let nobody sign in at an OpenID provider any more',
    },
    description: 'Administrators who signed in there stay, without a way in until one resets them.',
    params: byProvider,
    status: 204,
    answer: nothing,
  },
  test: {
    right: 'access.write',
    proof: false,
    ...{ method: 'POST', path: '/openid-providers/:name/test', tag },
    summary: 'Ask an OpenID provider what it says of itself, and answer whether that can be used',
    params: byProvider,
    answer: z.object({ usable: z.boolean(), answer: z.string() }),
  },
} as const satisfies Operations;
