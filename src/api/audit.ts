/** The audit: who changed what, verification of the record, and its export. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { freeForm, instant, listLimit, word } from './shapes.ts';

const filterText = z.string().min(1).max(500).optional();
const change = z.object({
  operation: z.string(),
  /** At most a hundred. */
  subjects: z.array(z.string()),
  subjectCount: z.number(),
  detail: freeForm.describe('`changes` with the values before and after, or the number of `rows` with their digest.'),
});
const entry = z.object({
  id: z.string(),
  number: z.number().nullable().describe('Position in the chain; null until it is sealed.'),
  at: instant,
  kind: word('operation', 'unrecorded', 'marker').describe(
    '`unrecorded`: changed without an operation that names who did it.',
  ),
  actor: z.string().nullable(),
  operation: z.string(),
  subjects: z.array(z.string()),
  requestId: z.string().nullable().describe('The `X-Request-Id` of the response.'),
  detail: freeForm,
  /** At most a hundred. */
  changes: z.array(change),
  changeCount: z.number(),
});
export type AuditEntryView = z.output<typeof entry>;

const auditVerification = z.object({
  sealed: z.number(),
  pending: z.number().describe('Not chained yet: from transactions that are in progress or have just ended.'),
  heads: z.number().describe('Signed heads in the BRAMBLE_HOME of this service.'),
  chain: z.string(),
  faults: z.number(),
  findings: z.array(z.object({ kind: z.string(), number: z.number().nullable(), message: z.string() })),
});
const tag = 'audit';

export const auditOperations = {
  list: {
    ...{ method: 'GET', path: '/audit', tag, summary: 'Who changed what, newest first' },
    query: z.object({
      actor: filterText,
      operation: filterText.describe('Part of the name of the operation or of a changed table.'),
      subject: filterText.describe('An exact name or id.'),
      since: instant.optional(),
      until: instant.optional(),
      before: z
        .string()
        .regex(/^\d{1,18}$/, 'use the `next` value of the previous page')
        .optional(),
      limit: listLimit(500).default(50),
    }),
    answer: z.object({ entries: z.array(entry), next: z.string().nullable() }),
  },
  verify: {
    ...{ method: 'GET', path: '/audit/verification', tag },
    summary: 'Verify the whole record from its beginning',
    answer: auditVerification,
  },
  export: {
    ...{ method: 'GET', path: '/audit/export', tag },
    summary: 'All records as JSON lines that can be verified elsewhere',
    query: z.object({
      after: z.coerce.number<number>().int().min(0).default(0).describe('Skips this many records.'),
    }),
    produces: 'application/x-ndjson',
    answer: z.unknown(),
  },
} as const satisfies Operations;
