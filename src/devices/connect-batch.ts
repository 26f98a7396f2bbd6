/**
 * Gathers connects into batches: while statements are under way, what arrives waits for the next one, so that batches grow
 * with the load and an idle server answers at once. A row that a move holds is tried again by itself.
 *
 * Few large statements cost the database and this process far less than many small ones, so only two lanes are used
 * until a whole batch waits, or one request has waited for `laneAfterMs` (a lane is stuck behind a lock or a slow disk).
 *
 * Invariant: a device stands in at most one batch at a time, in order of arrival.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { BrambleError } from '../base/errors.ts';
import type { ConnectOutcome, ConnectRequest } from './connect-statement.ts';

export interface ConnectBatchOptions {
  send: (requests: readonly ConnectRequest[]) => Promise<ConnectOutcome[]>;
  /** Rows in one statement at most: more, and the planner leaves the indexes. */
  batchSize?: number;
  /** Statements under way at the same time, at most. */
  concurrency?: number;
  /** Requests waiting before further ones are refused. */
  waitingAtMost?: number;
  /** How long a moving account's request is tried again. */
  movingPatienceMs?: number;
  signal?: AbortSignal;
}

interface Waiting {
  request: ConnectRequest;
  sinceMs: number;
  resolve: (outcome: ConnectOutcome) => void;
  reject: (error: unknown) => void;
}

export interface ConnectBatcher {
  /** @throws BrambleError ERR_OVERLOADED when too many wait, or what the statement failed with. */
  connect(request: ConnectRequest): Promise<ConnectOutcome>;
}

const movingRetryMs = 5;
const eagerLanes = 2;
const laneAfterMs = 10;

export function createConnectBatcher(options: ConnectBatchOptions): ConnectBatcher {
  const batchSize = options.batchSize ?? 48;
  const concurrency = options.concurrency ?? 6;
  const waitingAtMost = options.waitingAtMost ?? 20_000;
  const movingPatienceMs = options.movingPatienceMs ?? 250;
  const waiting: Waiting[] = [];
  const atWork = new Set<string>();
  let underWay = 0;
  let scheduled = false;

  let overdue: NodeJS.Timeout | undefined;

  const mayStart = () => {
    const [oldest] = waiting;
    if (oldest === undefined || underWay >= concurrency) return false;
    if (underWay < eagerLanes || waiting.length >= batchSize) return true;
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
        void run(batch);
      }
    });
  };

  const run = async (batch: readonly Waiting[]) => {
    underWay++;
    try {
      const outcomes = await options.send(batch.map((entry) => entry.request));
      batch.forEach((entry, index) => {
        const outcome = outcomes[index];
        if (outcome) entry.resolve(outcome);
        else entry.reject(new BrambleError('ERR_INTERNAL', 'The connect statement answered too few rows.'));
      });
    } catch (error) {
      for (const entry of batch) entry.reject(error);
    } finally {
      underWay--;
      for (const entry of batch) atWork.delete(entry.request.token);
      schedule();
    }
  };

  const enqueue = (request: ConnectRequest) =>
    new Promise<ConnectOutcome>((resolve, reject) => {
      if (waiting.length >= waitingAtMost) {
        reject(new BrambleError('ERR_OVERLOADED', 'Too many devices connect at once: this one comes again.'));
        return;
      }
      waiting.push({ request, sinceMs: performance.now(), resolve, reject });
      schedule();
    });

  return {
    connect: async (request) => {
      let outcome = await enqueue(request);
      for (let waitedMs = 0; outcome.kind === 'moving' && waitedMs < movingPatienceMs; waitedMs += movingRetryMs) {
        await delay(movingRetryMs);
        outcome = await enqueue(request);
      }
      return outcome;
    },
  };
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
