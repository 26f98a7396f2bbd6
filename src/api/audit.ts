/** The audit: who changed what, verification of the record, and its export. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { freeForm, instant, listLimit, word } from './shapes.ts';

const filterText = z.string().min(1).max(500).optional();
const place = z
  .string()
  .regex(/^\d{1,18}$/, 'use the `next` value of the previous page')
  .optional();
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

const digest = z.string().regex(/^[0-9a-f]{64}$/, 'use 64 hexadecimal digits');
const cut = z.object({
  number: z.number().describe('The last record that was removed.'),
  chain: z.string().describe('The head of the chain at that record.'),
  after: z.number().describe('The chain began after this record before.'),
  lastAt: z.string().describe('When the last of the removed records was sealed.'),
  at: z.string(),
  by: z.string(),
  exportSha256: z.string().nullable().describe('Of the export that was made first.'),
  publicKeyPem: z.string(),
  signature: z.string(),
});
export type AuditCut = z.output<typeof cut>;
const cutPlace = z.object({
  number: z.number(),
  chain: z.string(),
  after: z.number().describe('The records after this one, up to `number`, would be removed.'),
  lastAt: instant,
});

const auditVerification = z.object({
  sealed: z.number(),
  pending: z.number().describe('Not chained yet: from transactions that are in progress or have just ended.'),
  heads: z.number().describe('Signed heads in the BRAMBLE_HOME of this service.'),
  chain: z.string(),
  cut: cut
    .nullable()
    .default(null)
    .describe('Where earlier records were removed; null if the chain begins with its first.'),
  faults: z.number(),
  findings: z.array(z.object({ kind: z.string(), number: z.number().nullable(), message: z.string() })),
});
const tag = 'audit';

export const auditOperations = {
  list: {
    right: 'audit.read',
    scope: 'chosen',
    ...{ method: 'GET', path: '/audit', tag, summary: 'Who changed what, newest first' },
    description:
      'Who is limited to groups sees what was asked of these, of their accounts, and of the devices and commands of such accounts. His pages may ' +
      'have fewer entries than `limit`: there are more as long as `next` is not null.',
    query: z.object({
      actor: filterText,
      operation: filterText.describe('Part of the name of the operation or of a changed table.'),
      subject: filterText.describe('An exact name or id.'),
      since: instant.optional(),
      until: instant.optional(),
      after: place.describe('The `next` value of the previous page.'),
      before: place.describe('The same, for clients of releases before 1.5.'),
      limit: listLimit(500).default(50),
    }),
    answer: z.object({ entries: z.array(entry), next: z.string().nullable() }),
  },
  verify: {
    right: 'record.read',
    ...{ method: 'GET', path: '/audit/verification', tag },
    summary: 'Verify the whole record from its beginning',
    query: z.object({
      trustKey: digest.optional().describe('Fingerprint of another home’s audit key, whose cut is accepted.'),
    }),
    answer: auditVerification,
  },
  export: {
    right: 'record.read',
    ...{ method: 'GET', path: '/audit/export', tag },
    summary: 'All records as JSON lines that can be verified elsewhere',
    query: z.object({
      after: z.coerce.number<number>().int().min(0).default(0).describe('Skips this many records.'),
      upTo: z.coerce.number<number>().int().min(1).optional().describe('Ends with this record.'),
    }),
    produces: 'application/x-ndjson',
    answer: z.unknown(),
  },
  cutPlace: {
    right: 'record.read',
    ...{ method: 'GET', path: '/audit/cut-place', tag, summary: 'Where the audit can be cut' },
    query: z.object({ before: instant.describe('Only records sealed before; the last 30 days always stay.') }),
    answer: z.object({ place: cutPlace.nullable().describe('Null: no record is that old.') }),
  },
  cut: {
    right: 'audit.write',
    ...{ method: 'POST', path: '/audit/cuts', tag, summary: 'Cut the audit: earlier records are removed, for good' },
    description: 'They are removed in batches, beginning within a minute. Export them first.',
    body: z.object({
      number: z.number().int().positive(),
      chain: digest.describe('Both as answered for the place.'),
      exportSha256: digest.optional().describe('Of the export that was made.'),
    }),
    status: 201,
    answer: cut,
  },
} as const satisfies Operations;
