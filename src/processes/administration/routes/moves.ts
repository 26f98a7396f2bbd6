/** Account moves in batches: start, watch, pause, resume, turn back. */
import type { FastifyPluginAsync } from 'fastify';
import { actorOf } from '../../../access/actor.ts';
import { namesOfAccounts, resolveAccounts } from '../../../accounts/account-selection.ts';
import { moveOperations, type SkippedAccount } from '../../../api/moves.ts';
import { BrambleError } from '../../../base/errors.ts';
import type { AccountId } from '../../../base/ids.ts';
import { notFound } from '../../../base/not-found.ts';
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
import { listUnsettledMoves } from '../../../moves/move-reports.ts';
import { serve } from '../../../rest/serve.ts';
import { readOpenUpgrade } from '../../../upgrade/state/upgrade-store.ts';
import { listHeldMoves } from '../../../upgrade/waves/held-moves.ts';
import { type AdministrationContext, write } from '../context.ts';

export function moveRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, moveOperations.start, async (request) => {
      return await write(context, async (tx) => {
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
        const chosen = await resolveAccounts(tx, request.body, actorOf(request).groups);
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
    });

    serve(app, moveOperations.list, async (request) => {
      const { rows, next } = await listMoveBatches(context.db, { ...request.query, within: actorOf(request).groups });
      return { batches: rows.map(batchView), next };
    });

    serve(app, moveOperations.show, async (request) => {
      const { batch } = request.params;
      const status = await moveBatchStatus(context.db, batch);
      if (status === 'not-found') throw notFound('batch of moves', batch);
      return { ...batchView(status), open: await listUnsettledMoves(context.db, batch, 200) };
    });
  };
}

export function moveControlRoutes(context: AdministrationContext): FastifyPluginAsync {
  return async (app) => {
    serve(app, moveOperations.pause, async (request) => {
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
    });

    serve(app, moveOperations.resume, async (request) => {
      const { batch } = request.params;
      return await write(
        context,
        async (tx) => await changedBatch(tx, batch, await resumeMoveBatch(tx, batch), 'resumed', request.administrator),
      );
    });

    serve(app, moveOperations.back, async (request) => {
      const { batch } = request.params;
      return await write(context, async (tx) => {
        const status = await moveBatchStatus(tx, batch);
        if (status === 'not-found') throw notFound('batch of moves', batch);
        await assertNotOfOpenUpgrade(tx, status);
        const order = { createdBy: request.administrator, listHeld: listHeldMoves };
        const back = await moveBatchBack(tx, batch, order);
        if (back.queued + back.skipped.length + unstarted(status) === 0) throw nothingToMoveBack(status);
        return { batch: back.batchId, queued: back.queued, skipped: await withNames(tx, back) };
      });
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
      const next = nextOfBatch(batch, status.state);
      throw new BrambleError('ERR_MOVE_STATE', `The batch is ${status.state} and cannot be ${what} now. ${next}`, {
        details: { state: status.state },
      });
    }
  };
}

/** What can be done with it instead. */
function nextOfBatch(batch: string, state: MoveBatch['state']): string {
  const back = `\`bramble move back ${batch}\` moves its accounts back`;
  if (state === 'paused') return `\`bramble move resume ${batch}\` resumes it, ${back}.`;
  return state === 'running' ? `\`bramble move status ${batch}\` shows what it waits for.` : `${back}.`;
}

/** Moves of an open upgrade are turned back with the upgrade, which would requeue what is cancelled here. */
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

/** Moves that turning back only cancels. */
function unstarted({ counts }: MoveBatch): number {
  return counts.queued + counts.reserved + counts.fenced;
}

function nothingToMoveBack({ state }: MoveBatch): BrambleError {
  return new BrambleError('ERR_MOVE_STATE', 'No account of this batch is still where it moved it.', {
    details: { state },
  });
}

function nothingToMove(to: string, skipped: readonly SkippedAccount[]): BrambleError {
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

async function withNames(tx: Transaction, batch: CreatedMoveBatch): Promise<SkippedAccount[]> {
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
