/** Server instances: each with its SRP credential and its desired process. */
import * as z from 'zod';
import { addedProcess, newProcess } from './new-process.ts';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byName, instant } from './shapes.ts';

const instance = z.object({
  id: z.string(),
  name: z.string(),
  srpIdentifier: z.string(),
  accountCount: z.number(),
  deviceCount: z.number(),
  createdAt: instant,
  retiredAt: instant.nullable(),
});
const tag = 'instances';

export const instanceOperations = {
  list: {
    right: 'servers.read',
    ...{ method: 'GET', path: '/instances', tag, summary: 'List server instances' },
    ...smallList('instances', instance, {
      sorts: ['name', 'createdAt', 'accountCount', 'deviceCount'],
      unique: 'name',
    }),
  },
  add: {
    right: 'servers.write',
    ...{ method: 'POST', path: '/instances', tag },
    summary: 'Add a server instance with its SRP credential, and start its process',
    body: z.object(newProcess),
    status: 201,
    answer: addedProcess,
  },
  retire: {
    right: 'servers.write',
    ...{ method: 'POST', path: '/instances/:name/retire', tag },
    summary: 'Retire an instance without accounts: its process is stopped, its credential revoked',
    params: byName,
    answer: z.object({
      name: z.string(),
      srpIdentifier: z.string(),
      connectionServices: z
        .array(z.string())
        .describe('Those that served only this instance and were removed with it.')
        .default([]),
    }),
  },
} as const satisfies Operations;
