/** Components and features: what runs, what is absent, and what holds each feature back. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { smallList } from './paging.ts';
import { byName, freeForm, instant, nothing } from './shapes.ts';

export const component = z.object({
  name: z.string(),
  kind: z.string(),
  host: z.string(),
  processId: z.number(),
  release: z.string(),
  linkVersions: z.array(z.number()),
  features: z.array(z.string()),
  loopbackUrl: z.string().nullable(),
  alive: z.boolean(),
  startedAt: instant,
  leaseUntil: instant,
  stoppedAt: instant.nullable(),
  detail: freeForm,
});
export type ComponentView = z.output<typeof component>;

export const feature = z.object({
  name: z.string(),
  summary: z.string(),
  active: z.boolean(),
  lockedBy: z.array(z.string()),
});
const tag = 'domain';

export const componentOperations = {
  list: {
    right: 'servers.read',
    ...{ method: 'GET', path: '/components', tag, summary: 'Every registered component, absent ones included' },
    ...smallList('components', component, {
      sorts: ['kind', 'name', 'host', 'release'],
      unique: 'name',
      filters: ['kind', 'host', 'release'],
    }),
  },
  forget: {
    right: 'servers.write',
    ...{ method: 'DELETE', path: '/components/:name', tag, summary: 'Forget a component that is gone for good' },
    params: byName,
    status: 204,
    answer: nothing,
  },
  listFeatures: {
    right: 'servers.read',
    ...{ method: 'GET', path: '/features', tag },
    summary: 'Features, and which components hold each one back',
    ...smallList('features', feature, { sorts: ['name'], unique: 'name' }, { featureLevel: z.string() }),
  },
} as const satisfies Operations;
