/** Hosts: invited, joined, drained, removed. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byName, instant, nothing, word } from './shapes.ts';

const host = z.object({
  name: z.string(),
  state: word('first', 'awaited', 'invited', 'joined', 'draining').describe(
    'first: it made the domain, or was set up by hand; joined: by an invitation; awaited: it has to join again, since the domain was ' +
      'restored from a backup of another host.',
  ),
  atWork: z.boolean().describe('Whether its supervisor has reported recently.'),
  release: z.string().nullable().describe('Of its supervisor.'),
  seenAt: instant.nullable().describe('The last report of its supervisor.'),
  processes: z.array(z.object({ name: z.string(), kind: z.string() })).describe('That are to run there.'),
  invitedUntil: instant.nullable(),
});
export type HostView = z.output<typeof host>;

/** Of a host, as its supervisor and `desired_process` have it: what a computer may be called. */
const hostName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'use lower-case letters, digits, hyphens and full stops');

const tag = 'hosts';

export const hostOperations = {
  list: {
    right: 'servers.read',
    ...{ method: 'GET', path: '/hosts', tag, summary: 'List hosts, invited ones included' },
    ...smallList('hosts', host, { sorts: ['name', 'state', 'seenAt'], unique: 'name', filters: ['state', 'release'] }),
  },
  invite: {
    right: 'hosts.invite',
    ...{ method: 'POST', path: '/hosts', tag, summary: 'Invite a host to join the domain' },
    body: z.object({
      name: hostName,
      validHours: z.number().int().min(1).max(720).default(24).describe('How long the invitation is valid.'),
      databaseUrl: z
        .string()
        .max(1000)
        .optional()
        .describe('The configuration database as that host reaches it, without user and password.'),
      administers: z
        .boolean()
        .default(false)
        .describe('Whether administration services and coordinators may run there: it gets their database roles.'),
    }),
    status: 201,
    answer: z.object({
      name: z.string(),
      invitation: z.string().describe('Shown once. Anyone who has it can join as this host.'),
      expiresAt: instant,
      databaseUrl: z.string(),
    }),
  },
  drain: {
    right: 'servers.write',
    ...{ method: 'POST', path: '/hosts/:name/drain', tag, summary: 'Place nothing new on a host, or do so again' },
    params: byName,
    body: z.object({ draining: z.boolean().default(true) }),
    answer: z.object({ processes: z.array(z.object({ name: z.string(), kind: z.string() })) }),
  },
  remove: {
    right: 'servers.write',
    ...{ method: 'DELETE', path: '/hosts/:name', tag, summary: 'Remove a host, or withdraw its invitation' },
    params: byName,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
