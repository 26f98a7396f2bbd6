/** User accounts: one by one, by the thousand, and their activation passwords. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { next, pageQuery, type Sort } from './paging.ts';
import { byName, instant, listLimit, nothing } from './shapes.ts';
import { typedAccountName, typedText } from './typed-text.ts';

const account = z.object({
  id: z.string(),
  name: z.string(),
  displayName: z.string(),
  instance: z.string(),
  srpIdentifier: z.string(),
  epoch: z.number(),
  moving: z.boolean(),
  groups: z.array(z.string()),
  deviceCount: z.number(),
  createdAt: instant,
});

/** Also a line of an import. */
export const newAccount = z.object({
  name: typedAccountName,
  displayName: typedText(200).optional(),
  instance: z.string().max(200).optional().describe('Name of the instance; default: the one with the fewest accounts.'),
  groups: z.array(z.string().max(200)).max(100).optional(),
});

/** The maximum validity of an activation password. */
export const maxActivationHours = 720;
/** `setActivationPassword` checks the bounds, with a separate error code. */
const validHours = z.number().meta({ minimum: 1, maximum: maxActivationHours });

const importResult = z.object({
  created: z.number(),
  skipped: z.array(z.object({ name: z.string(), reason: z.string() })),
});
export type ImportResult = z.output<typeof importResult>;

export const accountSorts = ['name', 'createdAt', 'displayName'] as const;
export type AccountOrder = Sort<(typeof accountSorts)[number]>;
const tag = 'accounts';

export const accountOperations = {
  create: {
    right: 'accounts.write',
    scope: 'chosen',
    ...{ method: 'POST', path: '/accounts', tag, summary: 'Create an account' },
    body: newAccount,
    status: 201,
    answer: account,
  },
  list: {
    right: 'accounts.read',
    scope: 'chosen',
    ...{ method: 'GET', path: '/accounts', tag, summary: 'List accounts, in pages' },
    query: z.object({
      instance: z.string().max(200).optional().describe('Only of the instance with this name.'),
      group: z.string().max(200).optional().describe('Only of the group with this name.'),
      ...pageQuery(accountSorts, listLimit(1000).default(100)),
    }),
    answer: z.object({ accounts: z.array(account), next }),
  },
  show: {
    right: 'accounts.read',
    scope: 'account',
    ...{ method: 'GET', path: '/accounts/:name', tag, summary: 'Show an account' },
    revised: true,
    revisedBy: ['id', 'name', 'displayName', 'instance', 'groups', 'deviceCount'],
    params: byName,
    answer: account,
  },
  delete: {
    right: 'accounts.delete',
    scope: 'account',
    ...{ method: 'DELETE', path: '/accounts/:name', tag, summary: 'Delete an account with its devices' },
    revised: true,
    params: byName,
    status: 204,
    answer: nothing,
  },
  setActivationPassword: {
    right: 'accounts.activate',
    scope: 'account',
    ...{ method: 'POST', path: '/accounts/:name/activation-password', tag },
    summary: 'Issue an activation password for an account; the previous one becomes invalid',
    params: byName,
    body: z.object({ validHours: validHours.optional() }).nullish(),
    answer: z.object({ password: z.string(), expiresAt: instant, activationUrl: z.string() }),
  },
  import: {
    right: 'accounts.write',
    scope: 'chosen',
    ...{ method: 'POST', path: '/accounts/import', tag, summary: 'Import accounts as a stream of JSON lines' },
    description:
      'One account per line (application/x-ndjson), each line at most 64 KiB. Committed at the end of the stream: if a line ' +
      'is not an account, nothing is created; an account that cannot be created is skipped, and the answer says why.',
    consumes: 'application/x-ndjson',
    body: z.unknown().describe('One account per line: name, and optionally displayName, instance and groups.'),
    answer: importResult,
  },
} as const satisfies Operations;
