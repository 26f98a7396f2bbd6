/** The push service that wakes devices, and its certificate. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { instant } from './shapes.ts';

const push = z.object({
  url: z.string(),
  hasOwnAuthority: z.boolean(),
  caPem: z.string().nullable().describe('The CA that is trusted instead of the system’s.').default(null),
  hasCertificate: z.boolean(),
  certificate: z
    .object({ issuer: z.string(), selfSigned: z.boolean(), expiresAt: instant })
    .nullable()
    .describe('The issuer; no vendor’s push service accepts a self-signed certificate.')
    .default(null),
  topic: z.string().describe('Devices are woken under this topic and keep it permanently.').default(''),
  topicFixed: z
    .boolean()
    .describe('Whether a certificate has fixed it; until then it is a placeholder.')
    .default(false),
  mustEnrolAgain: z.number().describe('Number of enrolments with another topic.').default(0),
});
export type PushView = z.output<typeof push>;

/** Null removes a setting. Others than these are refused by the route, which names them. */
const pushChange = z.looseObject({
  url: z.string().nullable().optional(),
  caPem: z.string().nullable().optional(),
  certificatePem: z.string().nullable().optional(),
  privateKeyPem: z.string().nullable().optional(),
});
export type PushChange = z.output<typeof pushChange>;

const change = {
  path: '/push',
  tag: 'domain',
  query: z.object({
    preview: z
      .stringbool()
      .default(false)
      .describe('Change nothing; answer with the result that the change would have.'),
  }),
  body: pushChange,
  answer: push,
} as const;

export const pushOperations = {
  show: {
    revised: true,
    right: 'servers.read',
    method: 'GET',
    path: '/push',
    tag: 'domain',
    summary: 'The push service through which devices are woken',
    answer: push,
  },
  replace: {
    revised: true,
    right: 'push.write',
    ...{ ...change, method: 'PUT' },
    summary: 'Set the push service that wakes devices; replaces all of its settings',
  },
  change: {
    revised: true,
    right: 'push.write',
    ...{ ...change, method: 'PATCH' },
    summary: 'Change settings of the push service; null removes a setting, others stay as they are',
  },
} as const satisfies Operations;
