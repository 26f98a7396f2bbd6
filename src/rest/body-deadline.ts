/**
 * A deadline for bodies that do not come, at every REST server: an import is read inside of a transaction, which holds the
 * release lock for as long as its client likes.
 *
 * Invariant: a body is waited for 30 s, and each KiB that comes gives a second of them back, but never more than the 30 s:
 * neither silence nor a byte now and then holds anything for ever, whatever came before, and a large body that keeps coming
 * has all the time it takes. What the server itself takes to work on it does not count.
 */
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { BrambleError } from '../base/errors.ts';

export interface BodyPatience {
  /** The longest wait, and what all of them may take beyond what the bytes gave back. */
  graceMs: number;
  /** What a body has to bring so that it goes on beyond that. */
  bytesPerSecond: number;
}

/** One that never goes back, and can be waited by. */
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
  app.addHook('preParsing', async ({ headers }, _reply, payload) => {
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
    return hasBody ? Readable.from(patientChunks(payload as Readable, patience), { objectMode: false }) : payload;
  });
  // What is still to come would be read as the next request.
  app.addHook('onSend', async (_request, reply) => {
    if (reply.statusCode === 408) reply.header('connection', 'close');
  });
}

/**
 * The chunks of a stream, which is left as it is when they are no longer wanted: destroyed, it would take the answer along.
 * @throws BrambleError ERR_BODY_TIMEOUT; the stream's own error where the client went away.
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
  // What is given up may fail later: the timer by being ended, the body when its connection ends.
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
