/** Account moves in batches: start, watch, pause, resume, turn back. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { next, pageQuery } from './paging.ts';
import { instant, listLimit, name } from './shapes.ts';
import { typedText } from './typed-text.ts';

const counts = z.object({
  queued: z.number(),
  reserved: z.number(),
  fenced: z.number(),
  delivering: z.number(),
  settled: z.number(),
  closed: z.number(),
  rolledBack: z.number(),
  cancelled: z.number(),
  outOfReach: z.number(),
});
const batch = z.object({
  batch: z.string(),
  purpose: z.string(),
  waveNumber: z.number().nullable(),
  state: z.string(),
  pauseReason: z.string().nullable(),
  createdBy: z.string(),
  createdAt: instant,
  counts,
});
export type MoveBatchView = z.output<typeof batch>;

const batchWithMoves = batch.extend({
  open: z.array(
    z.object({
      account: z.string(),
      state: z.string(),
      from: z.string(),
      to: z.string(),
      attempts: z.number(),
      outOfReach: z.boolean(),
      failure: z.string().nullable(),
    }),
  ),
});
export type MoveBatchWithMoves = z.output<typeof batchWithMoves>;

const skippedAccount = z.object({
  account: z.string(),
  reason: z.string(),
  next: z.string().optional().describe('What prevents the move, and which command to use instead.'),
});
export type SkippedAccount = z.output<typeof skippedAccount>;

const createdBatch = z.object({ batch: z.string(), queued: z.number(), skipped: z.array(skippedAccount) });
export type CreatedBatch = z.output<typeof createdBatch>;

const selection = z
  .object({
    accounts: z.array(name).min(1).max(10_000).optional(),
    group: name.optional(),
    from: name.optional().describe('All accounts of this instance.'),
    to: name,
  })
  .refine((body) => [body.accounts, body.group, body.from].filter((given) => given !== undefined).length === 1, {
    message: 'name exactly one of accounts, group and from',
  });

const params = z.object({ batch: z.uuid() });
const tag = 'moves';

export const moveOperations = {
  start: {
    right: 'moves.write',
    scope: 'chosen',
    ...{ method: 'POST', path: '/moves', tag },
    summary: 'Move accounts to an instance: named ones, a group, or all of an instance',
    body: selection,
    status: 201,
    answer: createdBatch,
  },
  list: {
    right: 'moves.read',
    scope: 'chosen',
    ...{ method: 'GET', path: '/moves', tag, summary: 'The newest batches' },
    query: z.object(pageQuery(['createdAt'], listLimit(1000).default(100), '-createdAt')),
    answer: z.object({ batches: z.array(batch), next }),
  },
  show: {
    right: 'moves.read',
    scope: 'batch',
    ...{ method: 'GET', path: '/moves/:batch', tag },
    summary: 'The state of a batch, and which accounts are not moved and settled yet',
    params,
    answer: batchWithMoves,
  },
  pause: {
    right: 'moves.write',
    scope: 'batch',
    ...{ method: 'POST', path: '/moves/:batch/pause', tag },
    summary: 'Start no further moves of a batch; moves in progress reach a safe point',
    params,
    body: z.object({ reason: typedText(500).min(1).optional() }).nullish(),
    answer: batch,
  },
  resume: {
    right: 'moves.write',
    scope: 'batch',
    ...{ method: 'POST', path: '/moves/:batch/resume', tag, summary: 'Resume a paused batch' },
    params,
    answer: batch,
  },
  back: {
    right: 'moves.write',
    scope: 'batch',
    ...{ method: 'POST', path: '/moves/:batch/back', tag },
    summary: 'Cancel moves that have not started and move the other accounts back',
    params,
    status: 201,
    answer: createdBatch,
  },
} as const satisfies Operations;
