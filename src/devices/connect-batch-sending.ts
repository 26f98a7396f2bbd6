/**
 * Sends one batch of connects and settles each of them. Invariant: a row that the database refuses fails alone. The
 * batch is then resent row by row, and a row that is still refused without its payload: the result of the command
 * counts, whatever else the answer held. No row waits for a database that another row of its batch has waited for.
 */
import { BrambleError } from '../base/errors.ts';
import { isUnreachable, onAnotherConnection } from '../database/connection-loss.ts';
import { sqlState } from '../database/sql-state.ts';
import type { WaitingConnect } from './connect-queue.ts';
import type { ConnectRequest } from './connect-request.ts';
import type { ConnectOutcome } from './connect-statement.ts';

export type SendConnects = (requests: readonly ConnectRequest[]) => Promise<ConnectOutcome[]>;

interface Sendable extends WaitingConnect {
  /** The request's payload has been removed. */
  bare?: true;
  /** How often contention ended it. */
  contended?: number;
}

/**
 * Errors caused by one row, by its data (21, 22, 23, 54) or what is stored for it (XX: damaged), or by contention (40:
 * a deadlock): the whole statement was rolled back, so resending its rows changes nothing twice.
 */
const refusedRow = /^(21|22|23|40|54|XX)/;
const contention = /^40/;
/** A row that meets contention is sent again as it is, so often: it passes by itself. */
const maxContended = 3;

/** Settles every entry; never rejects. */
export async function sendBatch(sendRows: SendConnects, batch: readonly Sendable[]): Promise<void> {
  await settle(sendRows, batch);
}

/** Returns the error if the database could not be reached, which holds for every further row too. */
async function settle(sendRows: SendConnects, batch: readonly Sendable[]): Promise<unknown> {
  try {
    // Even if the lost batch may have been committed: its devices would retry anyway, and a repeated request has no
    // further effect.
    const send = () => sendRows(batch.map((entry) => entry.request));
    const outcomes = await onAnotherConnection(send, send);
    batch.forEach((entry, index) => {
      const outcome = outcomes[index];
      if (outcome) entry.resolve(outcome);
      else entry.reject(new BrambleError('ERR_INTERNAL', 'The connect statement returned too few rows.'));
    });
    return undefined;
  } catch (error) {
    const [first] = batch;
    if (refusedRow.test(sqlState(error) ?? '')) {
      if (batch.length > 1) return await settleEach(sendRows, batch);
      const { contended = 0 } = first ?? {};
      if (first && contended < maxContended && contention.test(sqlState(error) ?? '')) {
        return await settle(sendRows, [{ ...first, contended: contended + 1 }]);
      }
      if (first && first.request.answer !== null && !first.bare) {
        return await settle(sendRows, [{ ...first, request: bareOf(first.request), bare: true }]);
      }
    }
    for (const entry of batch) entry.reject(error);
    return isUnreachable(error) ? error : undefined;
  }
}

/** Row by row, until the database is out of reach: each row would wait for it as long as the one before. */
async function settleEach(sendRows: SendConnects, batch: readonly Sendable[]): Promise<unknown> {
  let unreachable: unknown;
  for (const entry of batch) {
    if (unreachable === undefined) unreachable = await settle(sendRows, [entry]);
    else entry.reject(unreachable);
  }
  return unreachable;
}

/** An answer reduced to the result of the command. */
function bareOf(request: ConnectRequest): ConnectRequest {
  return { ...request, answer: { ...request.bareAnswer, truncated: true }, inventory: null, options: null };
}
