/**
 * Gathers connects into batches: requests that arrive while statements are running wait for the next one, so batches
 * grow with the load and an idle server answers at once. A row that a move holds is retried on its own.
 *
 * A few large statements cost the database and this process far less than many small ones, so only one lane is used
 * until `laneAtWaiting` requests are waiting, or one has waited for `laneAfterMs` (the lane is stuck behind a lock or a
 * slow disk).
 *
 * Invariant: a device is in at most one batch at a time (connect-queue.ts), and none can fail others
 * (connect-batch-sending.ts).
 */
import { patientWithMoves } from '../accounts/moving-patience.ts';
import { BrambleError } from '../base/errors.ts';
import { type SendConnects, sendBatch } from './connect-batch-sending.ts';
import { createConnectQueue, type WaitingConnect } from './connect-queue.ts';
import type { ConnectRequest } from './connect-request.ts';
import type { ConnectOutcome } from './connect-statement.ts';

interface ConnectBatchOptions {
  send: SendConnects;
  /** Maximum rows in one statement: with more, the planner stops using the indexes. */
  batchSize?: number;
  /** Maximum number of concurrent statements. */
  concurrency?: number;
  /** Requests waiting before further ones are refused. */
  maxWaiting?: number;
  /** Of these, requests of one device. A device waits for each answer before its next request. */
  maxWaitingOfDevice?: number;
  /** How long a moving account's request is retried, if not as usual. */
  movingPatienceMs?: number | undefined;
}

export interface ConnectBatcher {
  /** @throws BrambleError ERR_OVERLOADED when too many wait, or the statement's error. */
  connect(request: ConnectRequest): Promise<ConnectOutcome>;
}

/** Default number of concurrent statements. */
export const connectLanes = 6;
const laneAtWaiting = 16;
const laneAfterMs = 5;

export function createConnectBatcher(options: ConnectBatchOptions): ConnectBatcher {
  const batchSize = options.batchSize ?? 48;
  const concurrency = options.concurrency ?? connectLanes;
  const queue = createConnectQueue({
    maxWaiting: options.maxWaiting ?? 20_000,
    maxWaitingOfDevice: options.maxWaitingOfDevice ?? 8,
  });
  let underWay = 0;
  let scheduled = false;
  let overdue: NodeJS.Timeout | undefined;

  const mayStart = () => {
    const oldest = queue.oldest();
    if (oldest === undefined || underWay >= concurrency) return false;
    if (underWay === 0 || queue.size() >= Math.min(laneAtWaiting, batchSize)) return true;
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
        const batch = queue.take(batchSize);
        if (batch.length === 0) break;
        void run(batch);
      }
    });
  };

  const run = async (batch: readonly WaitingConnect[]) => {
    underWay++;
    try {
      await sendBatch(options.send, batch);
    } finally {
      underWay--;
      queue.release(batch);
      schedule();
    }
  };

  const enqueue = (request: ConnectRequest) =>
    new Promise<ConnectOutcome>((resolve, reject) => {
      if (!queue.hasRoomFor(request.token)) {
        reject(new BrambleError('ERR_OVERLOADED', 'Too many requests are waiting; retry later.'));
        return;
      }
      queue.add({ request, sinceMs: performance.now(), resolve, reject });
      schedule();
    });

  return {
    connect: (request) => patientWithMoves(() => enqueue(request), options.movingPatienceMs),
  };
}
