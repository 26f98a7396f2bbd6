/** Account moves in batches: start, watch, pause, resume, turn back. */
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import * as z from 'zod';
import { listUnsettledMoves, namesOfAccounts, resolveAccounts } from '../../../accounts/account-selection.ts';
import { typedText } from '../../../api/typed-text.ts';
import { BrambleError } from '../../../base/errors.ts';
import type { AccountId } from '../../../base/ids.ts';
import type { Transaction } from '../../../database/connection.ts';
import { recordEvent } from '../../../domain/events.ts';
import { findInstance } from '../../../instances/instances.ts';
import {
  type CreatedMoveBatch,
  createMoveBatch,
  listMoveBatches,
  type MoveBatch,
  moveBatchBack,
  moveBatchStatus,
  pauseMoveBatch,
  resumeMoveBatch,
} from '../../../moves/batch-store.ts';
import { notFound } from '../../../rest/http-errors.ts';
import { readOpenUpgrade } from '../../../upgrade/state/upgrade-store.ts';
import { listHeldMoves } from '../../../upgrade/waves/held-moves.ts';
import { type AdministrationContext, write } from '../context.ts';
import { instant, name } from '../shapes.ts';

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
const batchShape = z.object({
  batch: z.string(),
  purpose: z.string(),
  waveNumber: z.number().nullable(),
  state: z.string(),
  pauseReason: z.string().nullable(),
  createdBy: z.string(),
  createdAt: instant,
  counts,
});
const skippedShape = z.object({
  account: z.string(),
  reason: z.string(),
  next: z.string().optional().describe('What prevents the move, and which command to use instead.'),
});
type Skipped = z.output<typeof skippedShape>;
const createdShape = z.object({
  batch: z.string(),
  queued: z.number(),
  skipped: z.array(skippedShape),
});
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
const tags = ['moves'];

export function moveRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'POST',
      url: '/moves',
      schema: {
        tags,
        summary: 'Move accounts to an instance: named ones, a group, or all of an instance',
        body: selection,
        response: { 201: createdShape },
      },
      handler: async (request, reply) => {
        const created = await write(context, async (tx) => {
          const target = await findInstance(tx, request.body.to);
          if (target === undefined || target.retiredAt !== null) throw notFound('instance', request.body.to);
          if (request.body.from === target.name) {
            throw new BrambleError(
              'ERR_INPUT',
              `The accounts of ${target.name} are already there: name another instance.`,
              {
                details: { field: 'body.to' },
              },
            );
          }
          const chosen = await resolveAccounts(tx, request.body);
          if (chosen.found.length === 0 && chosen.unknown.length > 0)
            throw notFound('account', chosen.unknown.join('", "'));
          const batch = await createMoveBatch(tx, {
            purpose: 'manual',
            createdBy: request.administrator,
            moves: chosen.found.map((accountId) => ({ accountId, toInstanceId: target.id })),
            listHeld: listHeldMoves,
          });
          const skipped = await withNames(tx, batch);
          for (const account of chosen.unknown) skipped.push({ account, reason: 'not-found' });
          if (batch.queued === 0) throw nothingToMove(target.name, skipped);
          return { batch: batch.batchId, queued: batch.queued, skipped };
        });
        return await reply.status(201).send(created);
      },
    });

    app.route({
      method: 'GET',
      url: '/moves',
      schema: { tags, summary: 'The newest batches', response: { 200: z.object({ batches: z.array(batchShape) }) } },
      handler: async () => ({ batches: (await listMoveBatches(context.db)).map(batchView) }),
    });

    app.route({
      method: 'GET',
      url: '/moves/:batch',
      schema: {
        tags,
        summary: 'The state of a batch, and which accounts are not moved and settled yet',
        params,
        response: {
          200: batchShape.extend({
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
          }),
        },
      },
      handler: async (request) => {
        const { batch } = request.params;
        const status = await moveBatchStatus(context.db, batch);
        if (status === 'not-found') throw notFound('batch of moves', batch);
        return { ...batchView(status), open: await listUnsettledMoves(context.db, batch, 200) };
      },
    });
  };
}

export function moveControlRoutes(context: AdministrationContext): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'POST',
      url: '/moves/:batch/pause',
      schema: {
        tags,
        summary: 'Start no further moves of a batch; moves in progress reach a safe point',
        params,
        body: z.object({ reason: typedText(500).min(1).optional() }).nullish(),
        response: { 200: batchShape },
      },
      handler: async (request) => {
        const { batch } = request.params;
        const reason = request.body?.reason ?? `paused by ${request.administrator}`;
        return await write(
          context,
          async (tx) =>
            await changedBatch(
              tx,
              batch,
              await pauseMoveBatch(tx, batch, reason),
              'paused',
              request.administrator,
              `: ${reason}`,
            ),
        );
      },
    });

    app.route({
      method: 'POST',
      url: '/moves/:batch/resume',
      schema: { tags, summary: 'Resume a paused batch', params, response: { 200: batchShape } },
      handler: async (request) => {
        const { batch } = request.params;
        return await write(
          context,
          async (tx) =>
            await changedBatch(tx, batch, await resumeMoveBatch(tx, batch), 'resumed', request.administrator),
        );
      },
    });

    app.route({
      method: 'POST',
      url: '/moves/:batch/back',
      schema: {
        tags,
        summary: 'Cancel moves that have not started and move the other accounts back',
        params,
        response: { 201: createdShape },
      },
      handler: async (request, reply) => {
        const { batch } = request.params;
        const created = await write(context, async (tx) => {
          const status = await moveBatchStatus(tx, batch);
          if (status === 'not-found') throw notFound('batch of moves', batch);
          await assertNotOfOpenUpgrade(tx, status);
          const order = { createdBy: request.administrator, listHeld: listHeldMoves };
          const back = await moveBatchBack(tx, batch, order);
          return { batch: back.batchId, queued: back.queued, skipped: await withNames(tx, back) };
        });
        return await reply.status(201).send(created);
      },
    });

    async function changedBatch(
      tx: Transaction,
      batch: string,
      changed: boolean,
      what: 'paused' | 'resumed',
      by: string,
      because = '',
    ) {
      const status = await moveBatchStatus(tx, batch);
      if (status === 'not-found') throw notFound('batch of moves', batch);
      if (changed) {
        const message = `${by} ${what} the batch of moves ${batch}${because}`;
        await recordEvent(tx, { kind: `move-${what}`, subject: batch, message });
        return batchView(status);
      }
      throw new BrambleError('ERR_MOVE_STATE', `The batch is ${status.state} and cannot be ${what} now.`, {
        details: { state: status.state },
      });
    }
  };
}

/** What an open upgrade moves is turned back with it: it would queue anew what is cancelled here. */
async function assertNotOfOpenUpgrade(tx: Transaction, { upgradeId }: MoveBatch): Promise<void> {
  const open = upgradeId === null ? undefined : await readOpenUpgrade(tx);
  if (open === undefined || open.id !== upgradeId) return;
  throw new BrambleError(
    'ERR_MOVE_STATE',
    `The upgrade to ${open.toRelease} owns this batch and would move its accounts again. \`bramble upgrade pause\` ` +
      'stops it, `bramble upgrade reverse` moves all accounts back, and `bramble account assign` changes where ' +
      'one account goes.',
    { details: { state: open.state } },
  );
}

function nothingToMove(to: string, skipped: readonly Skipped[]): BrambleError {
  const some = skipped
    .slice(0, 5)
    .map(({ account, reason, next }) => `${account} (${[reason, next].filter(Boolean).join('; ')})`);
  const more = skipped.length > some.length ? ` and ${skipped.length - some.length} more` : '';
  return new BrambleError(
    'ERR_STATE',
    some.length === 0
      ? 'There are no accounts to move: the group or instance has none.'
      : `There is nothing to move to ${to}: ${some.join(', ')}${more}.`,
    { details: { skipped: skipped.slice(0, 100) } },
  );
}

function batchView<Batch extends { batchId: string }>(batch: Batch) {
  return { ...batch, batch: batch.batchId };
}

async function withNames(tx: Transaction, batch: CreatedMoveBatch): Promise<Skipped[]> {
  const names = await namesOfAccounts(
    tx,
    batch.skipped.map((skip) => skip.accountId as AccountId),
  );
  return batch.skipped.map(({ accountId, reason, next }) => ({
    account: names.get(accountId) ?? accountId,
    reason,
    ...(next === undefined ? {} : { next }),
  }));
}
