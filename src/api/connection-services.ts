/** Connection services: each with the instances it serves, its SRP credential and its desired process. */
import * as z from 'zod';
import { addedProcess, newProcess } from './new-process.ts';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byName, instant, name, revision } from './shapes.ts';

const allowedHosts = z.array(z.string().min(1).max(260)).max(1000);
const served = {
  instances: z.array(name).min(1).max(64).optional().describe('Names of the instances whose devices it serves.'),
  instance: name.optional().describe('The same for a single instance, for clients of release 1.0.'),
};
const connectionService = z.object({
  id: z.string(),
  name: z.string(),
  srpIdentifier: z.string(),
  instances: z.array(z.string()).describe('Names of the instances whose devices it serves.'),
  instance: z.string().nullable().describe('The first of them, for clients of release 1.0.'),
  allowedHosts: z.array(z.string()),
  createdAt: instant,
  revision,
});
const tag = 'instances';

export const connectionServiceOperations = {
  list: {
    right: 'servers.read',
    ...{ method: 'GET', path: '/connection-services', tag, summary: 'List connection services' },
    ...smallList('connectionServices', connectionService, { sorts: ['name', 'createdAt'], unique: 'name' }),
  },
  add: {
    right: 'servers.write',
    ...{ method: 'POST', path: '/connection-services', tag },
    summary: 'Add a connection service for instances, with its SRP credential, and start its process',
    body: z.object({
      name: newProcess.name,
      ...served,
      allowedHosts: allowedHosts.optional(),
      host: newProcess.host,
    }),
    status: 201,
    answer: addedProcess,
  },
  change: {
    revised: true,
    right: 'servers.write',
    ...{ method: 'PATCH', path: '/connection-services/:name', tag },
    summary: 'Change the instances or the allowed hosts of a connection service',
    params: byName,
    body: z.object({ ...served, allowedHosts: allowedHosts.optional() }),
    answer: connectionService,
  },
} as const satisfies Operations;
