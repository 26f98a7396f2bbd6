/** Routers: where they run, and where instances and connection services dial them. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byName, nothing, processName, word } from './shapes.ts';

const port = z.number().int().min(1).max(65_535);

const router = z.object({
  name: z.string(),
  host: z.string(),
  linkHost: z.string(),
  linkPort: z.number().nullable().describe('Null until its host has told where it listens.'),
  publicPort: z.number().nullable().describe('Where devices reach it on its host; null where that is not known.'),
  state: word('waiting', 'refused', 'at-work', 'away').describe(
    'waiting: for its certificate; refused: it got none; away: nothing was heard of it recently.',
  ),
  reason: z.string().nullable().describe('Why it was refused.'),
});
export type RouterView = z.output<typeof router>;

/** A name, or an address; no user, port or path. */
const linkHost = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|[0-9a-f:]*:[0-9a-f:.]*)$/i;

const tag = 'routers';

export const routerOperations = {
  list: {
    right: 'servers.read',
    ...{ method: 'GET', path: '/routers', tag, summary: 'List routers' },
    ...smallList(
      'routers',
      router,
      { sorts: ['name', 'host', 'state'], unique: 'name', filters: ['host', 'state'] },
      { publicUrl: z.string().describe('The address that devices know.') },
    ),
  },
  add: {
    right: 'servers.write',
    ...{ method: 'POST', path: '/routers', tag, summary: 'Add a router on a host that joined' },
    body: z.object({
      name: processName,
      host: z.string().min(1).max(253),
      linkHost: z
        .string()
        .max(253)
        .regex(linkHost, 'give a host name, an IPv4 or an IPv6 address, without a port')
        .describe('The name or address at which other hosts reach that host.'),
      linkPort: port.optional().describe('If they reach it at another port than the router listens on.'),
    }),
    status: 201,
    answer: z.object({ name: z.string(), host: z.string() }),
  },
  remove: {
    right: 'servers.write',
    ...{ method: 'DELETE', path: '/routers/:name', tag, summary: 'Remove a router while another one is at work' },
    params: byName,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
