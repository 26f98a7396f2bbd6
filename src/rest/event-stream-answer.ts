/**
 * A stream of the hub as the answer to a request.
 *
 * Invariant: whoever reads slowly, or not at all, costs a bounded amount of memory: what it missed is replaced by one word,
 * and a connection that takes nothing for a while is closed.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { eventStream } from '../api/event-stream.ts';
import type { StreamHub } from './stream-hub.ts';
import type { Subscriber } from './stream-listener.ts';

/** Of what waits to be read. */
const maxWaitingBytes = 64 * 1024;
const stuckMs = 60_000;

/** Whether the request asks for a stream, and not for the list that programs of before ask for. */
export function asksForStream({ method, headers }: FastifyRequest): boolean {
  return method === 'GET' && (headers.accept ?? '').includes(eventStream);
}

/** The body of the answer; ends when the client leaves. @throws BrambleError as {@link StreamHub.open} */
export async function streamAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  { hub, ...whose }: { hub: StreamHub } & Pick<Subscriber, 'owner' | 'standing' | 'topics' | 'groups'>,
): Promise<Readable> {
  const after = request.headers['last-event-id'];
  let fullSince: number | undefined;
  const body = new Readable({
    highWaterMark: 16 * 1024,
    read: () => {
      fullSince = undefined;
      hub.drained(subscriber);
    },
    destroy: (error, done) => {
      hub.leave(subscriber);
      done(error);
    },
  });
  const subscriber: Subscriber = {
    ...whose,
    tell: (text) => {
      if (body.readableLength <= maxWaitingBytes) {
        body.push(text);
        return true;
      }
      fullSince ??= performance.now();
      if (performance.now() - fullSince > stuckMs) body.destroy();
      return false;
    },
    end: () => void body.push(null),
  };
  // A client that leaves while it waits for its first word.
  reply.raw.once('close', () => body.destroy());
  await hub.open(subscriber, typeof after === 'string' ? after : null);
  reply
    .type(`${eventStream}; charset=utf-8`)
    .header('cache-control', 'no-store')
    .header('connection', 'close')
    .header('x-accel-buffering', 'no');
  return body;
}
