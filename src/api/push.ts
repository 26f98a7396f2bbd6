/** The push service that wakes devices, and its certificate. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { freeForm, instant } from './shapes.ts';

const push = z.object({
  url: z.string(),
  hasOwnAuthority: z.boolean(),
  caPem: z.string().nullable().describe('The authority that is trusted instead of the machine’s.').default(null),
  hasCertificate: z.boolean(),
  certificate: z
    .object({ issuer: z.string(), selfSigned: z.boolean(), expiresAt: instant })
    .nullable()
    .describe('Who issued it; no vendor’s push service takes a self-signed one.')
    .default(null),
  topic: z.string().describe('Devices are woken under it and keep it for ever.').default(''),
  topicFixed: z.boolean().describe('Whether a certificate has fixed it; before that it is made up.').default(false),
  mustEnrolAgain: z.number().describe('Enrolments that know another topic.').default(0),
});
export type PushView = z.output<typeof push>;

const change = {
  path: '/push',
  tag: 'domain',
  query: z.object({
    preview: z
      .stringbool()
      .default(false)
      .describe('Change nothing; answer with the result that the change would have.'),
  }),
  body: freeForm.describe('url, and where needed caPem, certificatePem and privateKeyPem.'),
  answer: push,
} as const;

export const pushOperations = {
  show: { method: 'GET', path: '/push', tag: 'domain', summary: 'Where devices are woken through', answer: push },
  replace: {
    ...{ ...change, method: 'PUT' },
    summary: 'Set the push service that wakes devices; replaces all of its settings',
  },
  change: {
    ...{ ...change, method: 'PATCH' },
    summary: 'Change settings of the push service; what is not given stays, null takes away',
  },
} as const satisfies Operations;
