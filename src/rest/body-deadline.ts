/**
 * A deadline for slow bodies, on every REST server: an import is read inside a transaction, so its client could hold
 * the release lock for as long as it liked.
 *
 * Invariant: a body has 30 s of waiting time, and each KiB received restores one second, up to the 30 s: neither
 * silence nor an occasional byte holds anything for ever, whatever arrived before, and a large body that keeps arriving
 * has all the time it needs. The server's own processing time does not count.
 */
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { BrambleError } from '../base/errors.ts';

export interface BodyPatience {
  /** The longest single wait, and the total of all waits beyond the time restored by bytes. */
  graceMs: number;
  /** The rate at which a body must arrive to continue beyond that. */
  bytesPerSecond: number;
}

/** A monotonic clock that can also be waited on. */
export interface BodyClock {
  nowMs(): number;
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
}

const machineClock: BodyClock = {
  nowMs: () => performance.now(),
  sleep: async (durationMs, signal) => await delay(durationMs, undefined, { signal }),
};

export const defaultBodyPatience: BodyPatience = { graceMs: 30_000, bytesPerSecond: 1024 };

/** Call it before the routes are registered. */
export function limitBodyTime(app: FastifyInstance, patience: BodyPatience): void {
  app.addHook('preParsing', async (request, _reply, payload) =>
    hasBody(request) ? Readable.from(patientChunks(payload as Readable, patience), { objectMode: false }) : payload,
  );
  // The rest of the body would be read as the next request.
  app.addHook('onSend', async (_request, reply) => {
    if (reply.statusCode === 408) reply.header('connection', 'close');
  });
}

export function hasBody({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * The chunks of a stream. The stream is not destroyed when reading stops early: that would destroy the answer as well.
 * @throws BrambleError ERR_BODY_TIMEOUT; the stream's own error when the client disconnected.
 */
export async function* patientChunks(
  stream: Readable,
  patience: BodyPatience,
  clock = machineClock,
): AsyncGenerator<Uint8Array> {
  const chunks = stream.iterator({ destroyOnReturn: false });
  let leftMs = patience.graceMs;
  for (;;) {
    const beganMs = clock.nowMs();
    const next = await within(chunks.next(), leftMs, clock);
    if (next.done === true) return;
    const chunk = next.value as Uint8Array;
    const waitedMs = clock.nowMs() - beganMs;
    leftMs = Math.min(patience.graceMs, leftMs - waitedMs + (chunk.byteLength * 1000) / patience.bytesPerSecond);
    yield chunk;
  }
}

async function within<Value>(waiting: Promise<Value>, timeoutMs: number, clock: BodyClock): Promise<Value> {
  const over = new AbortController();
  const late = clock.sleep(Math.max(0, timeoutMs), over.signal).then(() => {
    throw tooLate();
  });
  // The abandoned promises may reject later: the timer when cancelled, the body when its connection ends.
  for (const either of [waiting, late]) either.catch(() => undefined);
  try {
    return await Promise.race([waiting, late]);
  } finally {
    over.abort();
  }
}

function tooLate(): BrambleError {
  return new BrambleError(
    'ERR_BODY_TIMEOUT',
    'The request body did not arrive in time; nothing was changed. Send it without pauses, for example from a file.',
  );
}
