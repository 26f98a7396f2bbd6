/** Who is told what: targets of notices, and the mail server. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byName, instant, nothing, revision, word } from './shapes.ts';
import { typedName, typedText } from './typed-text.ts';

/** What somebody can be told of. */
export const noticeKinds = [
  'upgrade-paused',
  'upgrade-unfinalized',
  'fence-blocked',
  'host-lost',
  'clock-wrong',
  'certificate-ending',
  'backup-failed',
  'backup-overdue',
] as const;
export type NoticeKind = (typeof noticeKinds)[number];

const kinds = z.array(z.enum(noticeKinds)).min(1).max(noticeKinds.length);
export const webhookKeyPrefix = 'whsec_';
const key = z
  .string()
  .regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/, 'must be whsec_ and 24 to 64 bytes in base64')
  .describe('Signs each request, as the Standard Webhooks specification says. It is never shown again.');

const newTarget = z.discriminatedUnion('channel', [
  z.object({
    channel: z.literal('webhook'),
    name: typedName.optional().describe('Default: the host of the URL.'),
    url: z.string().max(2000),
    key,
    caPem: z.string().max(100_000).optional().describe('The CA that is trusted instead of the system’s.'),
    kinds: kinds.nullable().default(null).describe('Null for all kinds, those of later releases too.'),
  }),
  z.object({
    channel: z.literal('mail'),
    name: typedName.optional().describe('Default: the first address.'),
    addresses: z.array(z.email().max(254)).min(1).max(16),
    kinds: kinds.nullable().default(null).describe('Null for all kinds, those of later releases too.'),
  }),
]);
export type NewTarget = z.output<typeof newTarget>;

const target = z.object({
  name: z.string(),
  channel: word('webhook', 'mail'),
  addresses: z.array(z.string()).describe('Of a webhook without path and query, which may be secret.'),
  kinds: z.array(z.string()).nullable(),
  waiting: z.number().describe('Notices that are still to be sent.'),
  failures: z.number().describe('Failed attempts since the last success.'),
  lastError: z.string().nullable(),
  lastErrorAt: instant.nullable(),
  retryAt: instant.nullable(),
  lastSentAt: instant.nullable(),
  dropped: z.number().describe('Notices given up because they were too old or too many.'),
  revision,
});
export type TargetView = z.output<typeof target>;

const mailServer = {
  host: z.string().min(1).max(253),
  port: z.int().min(1).max(65_535),
  security: z
    .enum(['tls', 'starttls', 'none'])
    .describe('TLS from the start, or asked for and insisted on, or none: then no password is sent off this machine.'),
  sender: z.email().max(254).describe('The address that mail comes from.'),
  username: typedText(255).nullable().default(null),
  caPem: z.string().max(100_000).nullable().default(null).describe('The CA that is trusted instead of the system’s.'),
};
const newMailServer = z.object({
  ...mailServer,
  password: z
    .string()
    .min(1)
    .max(1000)
    .optional()
    .describe('Never shown again. Without it the present one stays, for the same host and user name only.'),
});
export type NewMailServer = z.output<typeof newMailServer>;

const shownMailServer = z.object({
  host: z.string(),
  port: z.number(),
  security: word('tls', 'starttls', 'none'),
  sender: z.string(),
  username: z.string().nullable(),
  hasPassword: z.boolean(),
  caPem: z.string().nullable(),
});
export type MailServerView = z.output<typeof shownMailServer>;

const tag = 'notices';

export const noticeOperations = {
  list: {
    right: 'notices.read',
    ...{ method: 'GET', path: '/notice-targets', tag, summary: 'Who is told what, and what is still to be sent' },
    ...smallList('targets', target, { sorts: ['name', 'channel', 'failures'], unique: 'name', filters: ['channel'] }),
  },
  add: {
    revised: true,
    right: 'notices.write',
    ...{ method: 'POST', path: '/notice-targets', tag, summary: 'Have notices sent to a webhook or to mail addresses' },
    description:
      'Anyone who may add a webhook can have this host send requests to any address that it reaches. Redirects are not followed.',
    body: newTarget,
    status: 201,
    answer: target,
  },
  change: {
    revised: true,
    right: 'notices.write',
    ...{ method: 'PATCH', path: '/notice-targets/:name', tag, summary: 'Change what a target is told' },
    params: byName,
    body: z.object({ kinds: kinds.nullable().describe('Null for all kinds, those of later releases too.') }),
    answer: target,
  },
  rekey: {
    revised: true,
    right: 'notices.write',
    ...{ method: 'PUT', path: '/notice-targets/:name/key', tag },
    summary: 'Sign what a webhook is told with another key; for a day with the former one, too',
    params: byName,
    body: z.object({ key }),
    answer: target,
  },
  remove: {
    revised: true,
    right: 'notices.write',
    ...{ method: 'DELETE', path: '/notice-targets/:name', tag, summary: 'Send no more notices to a target' },
    params: byName,
    status: 204,
    answer: nothing,
  },
  test: {
    right: 'notices.write',
    ...{ method: 'POST', path: '/notice-targets/:name/test', tag },
    summary: 'Send a test notice at once, and answer with what the other side said',
    params: byName,
    answer: z.object({ delivered: z.boolean(), answer: z.string() }),
  },
  mailServer: {
    revised: true,
    right: 'notices.read',
    ...{ method: 'GET', path: '/mail-server', tag, summary: 'The server that mail is handed to' },
    answer: z.object({ mailServer: shownMailServer.nullable() }),
  },
  setMailServer: {
    revised: true,
    right: 'notices.write',
    ...{ method: 'PUT', path: '/mail-server', tag, summary: 'Set the server that mail is handed to' },
    body: newMailServer,
    answer: shownMailServer,
  },
  removeMailServer: {
    revised: true,
    right: 'notices.write',
    ...{ method: 'DELETE', path: '/mail-server', tag, summary: 'Forget the mail server: no mail is sent' },
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
