/** Passkeys of administrators, in the forms that browsers have for them (WebAuthn, as JSON). */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byId, instant, nothing, word } from './shapes.ts';
import { typedText } from './typed-text.ts';

const tag = 'sign-in';

const base64url = z
  .string()
  .max(4096)
  .regex(/^[\w-]*$/, 'base64url is expected');
const credentialType = z.literal('public-key');
const descriptor = z.object({ type: credentialType, id: z.string(), transports: z.array(z.string()).optional() });

/** Browsers add more, which is not looked at. */
const registration = z.looseObject({
  id: base64url,
  response: z.looseObject({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    publicKey: base64url,
    publicKeyAlgorithm: z.int(),
    transports: z.array(z.string().max(20)).max(8).default([]),
  }),
});

const assertion = z.looseObject({
  id: base64url,
  response: z.looseObject({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    signature: base64url,
    userHandle: base64url.nullish(),
  }),
});

export const passkey = z.object({
  id: z.string(),
  name: z.string(),
  /** The host name under which it can be used. */
  host: z.string(),
  createdAt: instant,
  usedAt: instant.nullable(),
});

export type Registration = z.output<typeof registration>;
export type Assertion = z.output<typeof assertion>;

export const passkeyOperations = {
  signInOptions: {
    ...{
      method: 'POST',
      path: '/sign-in/passkey/options',
      tag,
      summary: 'Begin to sign in, or to prove who is there, by passkey',
    },
    right: 'open',
    answer: z.object({
      challenge: z.string(),
      rpId: z.string(),
      timeout: z.number(),
      userVerification: word('required'),
      allowCredentials: z.array(descriptor),
    }),
  },
  signIn: {
    ...{ method: 'POST', path: '/sign-in/passkey', tag, summary: 'Sign in by passkey' },
    description: 'It asks for no second factor: the authenticator has asked for one.',
    right: 'open',
    body: assertion,
    answer: z.object({ next: word('totp').nullable() }),
  },
  prove: {
    ...{ method: 'POST', path: '/session/proof/passkey', tag, summary: 'Prove again who is there, by passkey' },
    right: 'signed-in',
    withoutFactor: 'always',
    body: assertion,
    status: 204,
    answer: nothing,
  },
  list: {
    ...{ method: 'GET', path: '/me/passkeys', tag, summary: 'List one’s passkeys' },
    right: 'signed-in',
    withoutFactor: 'enrolment',
    ...smallList('passkeys', passkey, { sorts: ['createdAt', 'name', 'id'], unique: 'id' }),
  },
  addOptions: {
    ...{ method: 'POST', path: '/me/passkeys/options', tag, summary: 'Begin to add a passkey' },
    right: 'signed-in',
    proof: true,
    withoutFactor: 'enrolment',
    answer: z.object({
      challenge: z.string(),
      rp: z.object({ id: z.string(), name: z.string() }),
      user: z.object({ id: z.string(), name: z.string(), displayName: z.string() }),
      pubKeyCredParams: z.array(z.object({ type: credentialType, alg: z.number() })),
      timeout: z.number(),
      attestation: word('none'),
      authenticatorSelection: z.object({ residentKey: word('required'), userVerification: word('required') }),
      excludeCredentials: z.array(descriptor),
    }),
  },
  add: {
    ...{ method: 'POST', path: '/me/passkeys', tag, summary: 'Add a passkey' },
    right: 'signed-in',
    proof: true,
    withoutFactor: 'enrolment',
    body: z.object({ name: typedText(100).min(1), credential: registration }),
    status: 201,
    answer: passkey,
  },
  remove: {
    ...{ method: 'DELETE', path: '/me/passkeys/:id', tag, summary: 'Remove a passkey' },
    right: 'signed-in',
    proof: true,
    params: byId,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
