/**
 * Gathers connects into batches: requests that arrive while statements are running wait for the next one, so batches
 * grow with the load and an idle server answers at once. A row that a move holds is retried on its own.
 *
 * A few large statements cost the database and this process far less than many small ones, so only one lane is used
 * until `laneAtWaiting` requests are waiting, or one has waited for `laneAfterMs` (the lane is stuck behind a lock or a
 * slow disk).
 *
 * Invariant: a device is in at most one batch at a time, in order of arrival; and no device can fail or delay others: a
 * batch that the database refuses is resent row by row, and only a few requests of one device may wait. A row that is
 * still refused is sent without its payload: the result of the command counts, whatever else the answer held.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { BrambleError } from '../base/errors.ts';
import { onAnotherConnection } from '../database/connection-loss.ts';
import { sqlState } from '../database/sql-state.ts';
import type { ConnectOutcome, ConnectRequest } from './connect-statement.ts';

export interface ConnectBatchOptions {
  send: (requests: readonly ConnectRequest[]) => Promise<ConnectOutcome[]>;
  /** Maximum rows in one statement: with more, the planner stops using the indexes. */
  batchSize?: number;
  /** Maximum number of concurrent statements. */
  concurrency?: number;
  /** Requests waiting before further ones are refused. */
  maxWaiting?: number;
  /** Of these, requests of one device. A device waits for each answer before its next request. */
  maxWaitingOfDevice?: number;
  /** How long a moving account's request is retried. */
  movingPatienceMs?: number;
}

interface Waiting {
  request: ConnectRequest;
  /** The request's payload has been removed. */
  bare?: true;
  sinceMs: number;
  resolve: (outcome: ConnectOutcome) => void;
  reject: (error: unknown) => void;
}

export interface ConnectBatcher {
  /** @throws BrambleError ERR_OVERLOADED when too many wait, or the statement's error. */
  connect(request: ConnectRequest): Promise<ConnectOutcome>;
}

/** Default number of concurrent statements. */
export const connectLanes = 6;
/** A move holds its account for some milliseconds, rarely longer: the first retries come soon. */
const movingRetryFirstMs = 1;
const movingRetryMostMs = 8;
/**
 * Errors caused by one row, by its data (21, 22, 23, 54) or what is stored for it (XX: damaged), or by contention (40:
 * a deadlock): the whole statement was rolled back, so resending its rows changes nothing twice.
 */
const refusedRow = /^(21|22|23|40|54|XX)/;
const laneAtWaiting = 16;
const laneAfterMs = 5;

export function createConnectBatcher(options: ConnectBatchOptions): ConnectBatcher {
  const batchSize = options.batchSize ?? 48;
  const concurrency = options.concurrency ?? connectLanes;
  const maxWaiting = options.maxWaiting ?? 20_000;
  const movingPatienceMs = options.movingPatienceMs ?? 250;
  const maxWaitingOfDevice = options.maxWaitingOfDevice ?? 8;
  const waiting: Waiting[] = [];
  const waitingOf = new Map<string, number>();
  const atWork = new Set<string>();
  let underWay = 0;
  let scheduled = false;

  let overdue: NodeJS.Timeout | undefined;

  const mayStart = () => {
    const [oldest] = waiting;
    if (oldest === undefined || underWay >= concurrency) return false;
    if (underWay === 0 || waiting.length >= Math.min(laneAtWaiting, batchSize)) return true;
    const leftMs = oldest.sinceMs + laneAfterMs - performance.now();
    if (leftMs <= 0) return true;
    if (overdue === undefined) {
      overdue = setTimeout(() => {
        overdue = undefined;
        schedule();
      }, leftMs);
    }
    return false;
  };

  const schedule = () => {
    if (scheduled || !mayStart()) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      while (mayStart()) {
        const batch = takeBatch(waiting, atWork, batchSize);
        if (batch.length === 0) break;
        for (const { request } of batch) {
          const left = (waitingOf.get(request.token) ?? 1) - 1;
          if (left > 0) waitingOf.set(request.token, left);
          else waitingOf.delete(request.token);
        }
        void run(batch);
      }
    });
  };

  const run = async (batch: readonly Waiting[]) => {
    underWay++;
    try {
      await sendBatch(batch);
    } finally {
      underWay--;
      for (const entry of batch) atWork.delete(entry.request.token);
      schedule();
    }
  };

  /** Settles every entry; never rejects. */
  const sendBatch = async (batch: readonly Waiting[]): Promise<void> => {
    try {
      // Even if the lost batch may have been committed: its devices would retry anyway, and a repeated request has no
      // further effect.
      const send = () => options.send(batch.map((entry) => entry.request));
      const outcomes = await onAnotherConnection(send, send);
      batch.forEach((entry, index) => {
        const outcome = outcomes[index];
        if (outcome) entry.resolve(outcome);
        else entry.reject(new BrambleError('ERR_INTERNAL', 'The connect statement returned too few rows.'));
      });
    } catch (error) {
      const [first] = batch;
      if (!refusedRow.test(sqlState(error) ?? '')) {
        for (const entry of batch) entry.reject(error);
      } else if (batch.length > 1) {
        for (const entry of batch) await sendBatch([entry]);
      } else if (first && first.request.answer !== null && !first.bare) {
        await sendBatch([{ ...first, request: bareOf(first.request), bare: true }]);
      } else {
        for (const entry of batch) entry.reject(error);
      }
    }
  };

  const enqueue = (request: ConnectRequest) =>
    new Promise<ConnectOutcome>((resolve, reject) => {
      const ofDevice = waitingOf.get(request.token) ?? 0;
      if (waiting.length >= maxWaiting || ofDevice >= maxWaitingOfDevice) {
        reject(new BrambleError('ERR_OVERLOADED', 'Too many requests are waiting; retry later.'));
        return;
      }
      waitingOf.set(request.token, ofDevice + 1);
      waiting.push({ request, sinceMs: performance.now(), resolve, reject });
      schedule();
    });

  return {
    connect: async (request) => {
      let outcome = await enqueue(request);
      let waitedMs = 0;
      for (let retryMs = movingRetryFirstMs; outcome.kind === 'moving' && waitedMs < movingPatienceMs; ) {
        await delay(retryMs);
        outcome = await enqueue(request);
        waitedMs += retryMs;
        retryMs = Math.min(2 * retryMs, movingRetryMostMs);
      }
      return outcome;
    },
  };
}

/** An answer reduced to the result of the command. */
function bareOf(request: ConnectRequest): ConnectRequest {
  return { ...request, answer: { ...request.bareAnswer, truncated: true }, inventory: null, options: null };
}

/** The oldest requests of devices that are in no batch yet, at most one of each. */
function takeBatch(waiting: Waiting[], atWork: Set<string>, batchSize: number): Waiting[] {
  const batch: Waiting[] = [];
  const passed: Waiting[] = [];
  while (waiting.length > 0 && batch.length < batchSize) {
    const entry = waiting.shift();
    if (!entry) break;
    if (atWork.has(entry.request.token)) {
      passed.push(entry);
    } else {
      atWork.add(entry.request.token);
      batch.push(entry);
    }
  }
  waiting.unshift(...passed);
  return batch;
}
