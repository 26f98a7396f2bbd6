/** Signing in to the console and out again, and who one is. Served on either side of the release fence. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byId, instant, name, nothing, word } from './shapes.ts';
import { typedName, typedText } from './typed-text.ts';

const tag = 'sign-in';

/** In a request that a page makes while nobody is at it: it does not count as use of the session. */
export const unattendedHeader = 'bramble-unattended';

/** Passwords are taken as they are typed; what is refused of new ones is for `newPassword`. */
const password = z.string().min(1).max(1000);
const code = z.string().min(1).max(200);

/** What is still asked for; null when the session is there, as a cookie. */
const step = z.object({ next: word('totp').nullable() });

/** Shown once; each is good once, in the place of a code of the authenticator. */
const recoveryCodes = z.object({ recoveryCodes: z.array(z.string()) });

const session = z.object({
  id: z.string(),
  administrator: z.string(),
  /** How it was signed in, such as `password` or `password and totp`. */
  method: z.string(),
  /** Whether a second factor was shown, then or later. */
  secondFactor: z.boolean(),
  address: z.string(),
  client: z.string(),
  createdAt: instant,
  seenAt: instant,
  expiresAt: instant,
  /** Whether it is the one that asks. */
  current: z.boolean(),
});

export const signInOperations = {
  ways: {
    ...{ method: 'GET', path: '/sign-in', tag, summary: 'Show in which ways one can sign in here' },
    right: 'open',
    answer: z.object({
      password: z.boolean(),
      passkey: z.boolean(),
      openid: z
        .array(z.object({ name: z.string(), title: z.string() }))
        .describe('Providers; none at the coordinator.'),
    }),
  },
  password: {
    ...{ method: 'POST', path: '/sign-in', tag, summary: 'Sign in by name and password' },
    takesPassword: true,
    right: 'open',
    body: z.object({ name, password }),
    answer: step,
  },
  totp: {
    ...{ method: 'POST', path: '/sign-in/totp', tag, summary: 'Go on with a code of the authenticator' },
    description: 'Or with a recovery code. Within five minutes, in the browser that sent the password.',
    takesPassword: true,
    right: 'open',
    body: z.object({ code }),
    answer: step,
  },
  lookAtCode: {
    ...{ method: 'POST', path: '/sign-in/code/look', tag, summary: 'Show what a one-time code is for' },
    right: 'open',
    body: z.object({ code }),
    answer: z.object({ purpose: word('first', 'invitation'), name: z.string().nullable(), expiresAt: instant }),
  },
  code: {
    ...{ method: 'POST', path: '/sign-in/code', tag, summary: 'Choose a password by a one-time code, and sign in' },
    takesPassword: true,
    description: 'The first administrator chooses a name as well, and gets the role security.',
    right: 'open',
    body: z.object({ code, name: typedName.optional(), displayName: typedText(200).optional(), password }),
    answer: step,
  },
  signOut: {
    ...{ method: 'DELETE', path: '/session', tag, summary: 'Sign out' },
    right: 'signed-in',
    withoutFactor: 'always',
    status: 204,
    answer: nothing,
  },
  prove: {
    ...{ method: 'POST', path: '/session/proof', tag, summary: 'Prove again who is there, by the password' },
    takesPassword: true,
    description: 'What gives access to others asks for a proof that is at most 15 minutes old.',
    right: 'signed-in',
    withoutFactor: 'always',
    /** The code where a second factor is asked for. */
    body: z.object({ password, code: code.optional() }),
    status: 204,
    answer: nothing,
  },
  me: {
    ...{ method: 'GET', path: '/me', tag, summary: 'Show who asks, and what he may do' },
    right: 'signed-in',
    withoutFactor: 'always',
    answer: z.object({
      name: z.string(),
      kind: word('administrator', 'token', 'legacy-token'),
      displayName: z.string().nullable(),
      role: z.string().nullable(),
      rights: z.array(z.string()),
      /** Names of the groups that he is limited to; null if he is not. */
      groups: z.array(z.string()).nullable(),
      session: z.string().nullable(),
      provenAt: instant.nullable(),
      asksTotp: z.boolean(),
      /** The OpenID provider at which alone he signs in, and proves who is there; null if it is by password or passkey. */
      provider: z.string().nullable().default(null),
      /** What he has to do before anything else: show his second factor, or set one up. */
      owes: word('proof', 'enrolment').nullable(),
      release: z.string(),
      /** Which service answers. */
      service: word('administration', 'coordinator'),
    }),
  },
  setPassword: {
    ...{ method: 'PUT', path: '/me/password', tag, summary: 'Change one’s password; all other sessions end' },
    takesPassword: true,
    right: 'signed-in',
    body: z.object({ current: password, password }),
    status: 204,
    answer: nothing,
  },
  beginTotp: {
    ...{
      method: 'POST',
      path: '/me/totp',
      tag,
      summary: 'Begin with an authenticator; it is asked for once a code proved it',
    },
    takesPassword: true,
    right: 'signed-in',
    proof: true,
    withoutFactor: 'enrolment',
    /** The secret to type, and the same as an address, for a QR code. */
    answer: z.object({ secret: z.string(), uri: z.string() }),
  },
  confirmTotp: {
    ...{
      method: 'POST',
      path: '/me/totp/confirm',
      tag,
      summary: 'Prove an authenticator by a code; shows recovery codes',
    },
    takesPassword: true,
    right: 'signed-in',
    withoutFactor: 'enrolment',
    body: z.object({ code }),
    answer: recoveryCodes,
  },
  removeTotp: {
    ...{ method: 'DELETE', path: '/me/totp', tag, summary: 'Ask for no codes of an authenticator any more' },
    right: 'signed-in',
    proof: true,
    status: 204,
    answer: nothing,
  },
  renewRecoveryCodes: {
    ...{ method: 'POST', path: '/me/recovery-codes', tag, summary: 'Make new recovery codes; those before end' },
    takesPassword: true,
    right: 'signed-in',
    proof: true,
    answer: recoveryCodes,
  },
  listSessions: {
    ...{ method: 'GET', path: '/sessions', tag, summary: 'List open sessions: one’s own, or all with access.read' },
    right: 'signed-in',
    ...smallList('sessions', session, {
      sorts: ['createdAt', 'seenAt', 'administrator'],
      unique: 'id',
      filters: ['administrator'],
    }),
  },
  endSession: {
    ...{ method: 'DELETE', path: '/sessions/:id', tag, summary: 'End a session: one’s own, or any with access.write' },
    right: 'signed-in',
    params: byId,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
