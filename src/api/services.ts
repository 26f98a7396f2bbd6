/** The services that devices get service books for. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { freeForm, owedDeliveries, revision } from './shapes.ts';

const byType = z.object({
  type: z.string().max(20).describe('One of [CMIME], [CICAL], [SYNC], [IPPP]; the brackets may be omitted.'),
});
const tag = 'services';

export const serviceOperations = {
  list: {
    right: 'services.read',
    scope: 'common',
    ...{ method: 'GET', path: '/services', tag, summary: 'The services that devices have, with their settings' },
    ...smallList('services', z.object({ type: z.string(), settings: freeForm, revision }), {
      sorts: ['type'],
      unique: 'type',
    }),
  },
  set: {
    revised: true,
    right: 'services.write',
    ...{ method: 'PUT', path: '/services/:type', tag },
    summary: 'Set up a service; new service books are sent to every device',
    params: byType,
    body: z.object({ settings: freeForm }),
    answer: owedDeliveries,
  },
  delete: {
    revised: true,
    right: 'services.write',
    ...{ method: 'DELETE', path: '/services/:type', tag },
    summary: 'Remove a service; new service books are sent to every device',
    params: byType,
    answer: owedDeliveries,
  },
} as const satisfies Operations;
