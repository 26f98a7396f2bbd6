/** People who administer the domain. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { passkey } from './passkeys.ts';
import { byName, instant, name, nothing, word } from './shapes.ts';
import { typedName, typedText } from './typed-text.ts';

const tag = 'administrators';

/** Shown once, for whoever is to sign in with it. */
const oneTimeCode = z.object({ code: z.string(), expiresAt: instant });

const administrator = z.object({
  name: z.string(),
  displayName: z.string(),
  role: z.string(),
  /** Names of the groups that he is limited to; null if he is not. */
  groups: z.array(z.string()).nullable(),
  state: word('active', 'disabled'),
  /** Whether he has chosen a password. */
  hasPassword: z.boolean(),
  asksTotp: z.boolean(),
  /** The OpenID provider at which alone he signs in, and which says his role and groups; null if he signs in here. */
  provider: z.string().nullable().default(null),
  passkeys: z.number(),
  /** Whether a second factor is asked of him, and he has yet to set one up. */
  lacksFactor: z.boolean(),
  sessions: z.number(),
  createdAt: instant,
  createdBy: z.string(),
});

const groups = z.array(name).max(1000).nullable();

export const administratorOperations = {
  list: {
    ...{ method: 'GET', path: '/administrators', tag, summary: 'List administrators' },
    right: 'access.read',
    ...smallList('administrators', administrator, {
      sorts: ['name', 'role', 'createdAt'],
      unique: 'name',
      filters: ['role', 'state'],
    }),
  },
  show: {
    ...{ method: 'GET', path: '/administrators/:name', tag, summary: 'Show an administrator' },
    right: 'access.read',
    params: byName,
    answer: administrator,
  },
  inviteFirst: {
    ...{
      method: 'POST',
      path: '/first-administrator',
      tag,
      summary: 'Make a one-time code for the first administrator',
    },
    description: 'Good for 15 minutes and one use; a newer code ends it. Refused once there is an administrator.',
    right: 'access.write',
    answer: oneTimeCode,
  },
  create: {
    ...{
      method: 'POST',
      path: '/administrators',
      tag,
      summary: 'Add an administrator; the answer has a one-time code',
    },
    description: 'He signs in with the code, within 24 hours, and chooses a password.',
    right: 'access.write',
    body: z.object({
      name: typedName,
      displayName: typedText(200).default(''),
      role: name,
      groups: groups.default(null),
    }),
    status: 201,
    answer: oneTimeCode,
  },
  change: {
    ...{
      method: 'PATCH',
      path: '/administrators/:name',
      tag,
      summary: 'Change an administrator’s name, role or groups',
    },
    description: 'Another role or other groups end his sessions.',
    right: 'access.write',
    params: byName,
    body: z.object({ displayName: typedText(200).optional(), role: name.optional(), groups: groups.optional() }),
    answer: administrator,
  },
  reset: {
    ...{
      method: 'POST',
      path: '/administrators/:name/reset',
      tag,
      summary: 'Take away what an administrator signs in with',
    },
    description: 'Password, second factor and sessions end; the answer has a one-time code for a new password.',
    right: 'access.write',
    params: byName,
    answer: oneTimeCode,
  },
  resetPassword: {
    ...{
      method: 'POST',
      path: '/administrators/:name/reset-password',
      tag,
      summary: 'Take an administrator’s password away, and nothing else that he signs in with',
    },
    description:
      'His sessions end; the answer has a one-time code for a new password. His authenticator is asked as before.',
    right: 'access.write',
    params: byName,
    answer: oneTimeCode,
  },
  removeTotp: {
    ...{
      method: 'DELETE',
      path: '/administrators/:name/totp',
      tag,
      summary: 'Take an administrator’s authenticator away',
    },
    description: 'With his recovery codes; his sessions end.',
    right: 'access.write',
    params: byName,
    status: 204,
    answer: nothing,
  },
  listPasskeys: {
    ...{ method: 'GET', path: '/administrators/:name/passkeys', tag, summary: 'List an administrator’s passkeys' },
    right: 'access.read',
    params: byName,
    ...smallList('passkeys', passkey, { sorts: ['createdAt', 'name', 'id'], unique: 'id' }),
  },
  removePasskeys: {
    ...{
      method: 'DELETE',
      path: '/administrators/:name/passkeys',
      tag,
      summary: 'Take an administrator’s passkeys away',
    },
    description: 'His sessions end.',
    right: 'access.write',
    params: byName,
    status: 204,
    answer: nothing,
  },
  endSessions: {
    ...{
      method: 'DELETE',
      path: '/administrators/:name/sessions',
      tag,
      summary: 'End all sessions of an administrator',
    },
    right: 'access.write',
    params: byName,
    status: 204,
    answer: nothing,
  },
  disable: {
    ...{ method: 'POST', path: '/administrators/:name/disable', tag, summary: 'Let an administrator in no longer' },
    right: 'access.write',
    params: byName,
    status: 204,
    answer: nothing,
  },
  enable: {
    ...{ method: 'POST', path: '/administrators/:name/enable', tag, summary: 'Let a disabled administrator in again' },
    right: 'access.write',
    params: byName,
    status: 204,
    answer: nothing,
  },
  remove: {
    ...{ method: 'DELETE', path: '/administrators/:name', tag, summary: 'Remove an administrator' },
    right: 'access.write',
    params: byName,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
