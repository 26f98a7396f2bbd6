/** Administration services: several may be at work, on any host that may run them. */
import * as z from 'zod';
import { newProcess } from './new-process.ts';
import type { Operations } from './operation.ts';
import { byName, nothing } from './shapes.ts';

const tag = 'domain';

export const administrationServiceOperations = {
  add: {
    right: 'servers.write',
    ...{
      method: 'POST',
      path: '/administration-services',
      tag,
      summary: 'Add an administration service, and start it',
    },
    body: z.object(newProcess),
    status: 201,
    answer: z.object({ name: z.string(), host: z.string() }),
  },
  remove: {
    right: 'servers.write',
    ...{ method: 'DELETE', path: '/administration-services/:name', tag },
    summary: 'Remove an administration service that is not the last one',
    params: byName,
    status: 204,
    answer: nothing,
  },
} as const satisfies Operations;
