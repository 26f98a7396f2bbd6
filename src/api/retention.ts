/** Retention: how long what was recorded is kept, and where the audit is cut. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { instant } from './shapes.ts';

const maxDays = 36_500;

/** The setting 'retention'. `null`: nothing is ever removed. */
export const retentionSchema = z.object({
  auditDays: z.number().int().min(30).max(maxDays).nullable().default(null),
  eventDays: z.number().int().min(7).max(maxDays).nullable().default(null),
  /** Of requests, by hour: gates compare accounts with their past. */
  sampleDays: z.number().int().min(2).max(90).default(14),
});
export type Retention = z.output<typeof retentionSchema>;

const part = retentionSchema.shape;
/** What an administrator changes; the rest stays as it is. */
const retentionChange = z.object({
  auditDays: part.auditDays.unwrap().optional().describe('30 to 36500; null: for ever.'),
  eventDays: part.eventDays.unwrap().optional().describe('7 to 36500; null: for ever.'),
  sampleDays: part.sampleDays.unwrap().optional(),
});

const kept = z.object({
  days: z.number().nullable().describe('Null: for ever.'),
  oldest: instant.nullable().describe('Of what is there.'),
});
const shownRetention = z.object({ audit: kept, events: kept, samples: z.object({ days: z.number() }) });
export type ShownRetention = z.output<typeof shownRetention>;

const tag = 'domain';

export const retentionOperations = {
  show: {
    revised: true,
    right: 'record.read',
    ...{ method: 'GET', path: '/retention', tag, summary: 'How long the audit, events and samples are kept' },
    answer: shownRetention,
  },
  change: {
    revised: true,
    right: 'audit.write',
    ...{ method: 'PUT', path: '/retention', tag, summary: 'Change how long they are kept' },
    description: 'What is older is removed in batches, beginning within a minute.',
    body: retentionChange,
    answer: shownRetention,
  },
} as const satisfies Operations;
