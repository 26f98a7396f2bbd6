/**
 * A device's request at the public port: given a place, its body read, forwarded, answered.
 *
 *   begun → a place → head → body whole → forwarded → answered → place freed
 *
 * Invariant: a request keeps its place, and its share of the room for large bodies, until its work is done, even if the
 * device abandons its stream: nobody gets more work done by abandoning requests.
 */
import type { TLSSocket } from 'node:tls';
import { messageOf } from '../../base/errors.ts';
import { declaresMore } from '../../link/request-size.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { Logger } from '../../process/log/logger.ts';
import type { ConnectionWatch } from './connection-watch.ts';
import type { Forwarder } from './forwarder.ts';
import type { LimitReport } from './limit-report.ts';
import { provesIdentity } from './proven-identity.ts';
import type { PublicConnections, RequestPlace } from './public-connections.ts';
import type { PublicDrain } from './public-drain.ts';
import { overloaded, refusalOfBody } from './public-refusals.ts';
import { type PublicRequest, type PublicResponse, type Reply, refusal, writeEarlyReply, writeReply } from './reply.ts';
import { hasNoBody, type RequestBody, readBody } from './request-body.ts';
import { type RequestHead, readHead } from './request-head.ts';
import type { Watched } from './watched-connection.ts';

interface PublicRequestsOptions {
  platforms: Platforms;
  /** SNI name at which requests are refused. */
  tunnelHost: string | undefined;
  forward: Forwarder;
  /** From the first byte of a request to its answer. */
  deadlineMs: number;
  /** Total bytes of bodies under way, counting what exceeds `smallBodyBytes` in each. */
  maxLargeBodies: number;
  connections: PublicConnections;
  watch: ConnectionWatch;
  drain: Pick<PublicDrain, 'begun'>;
  report: LimitReport;
  onAnswer: (status: number) => void;
  log: Logger;
}

type ReadBody = (maxBytes: number) => Promise<RequestBody> | RequestBody;

export class PublicRequests {
  readonly #options: PublicRequestsOptions;
  #largeBodyBytes = 0;

  constructor(options: PublicRequestsOptions) {
    this.#options = options;
  }

  /** @param goOn says that the body may come. */
  async answer(request: PublicRequest, response: PublicResponse, goOn?: () => void): Promise<void> {
    const { watch, drain, deadlineMs, maxLargeBodies, onAnswer, log } = this.#options;
    const watched = watch.of(request.socket);
    if (!watched) return;
    let displace: () => void = () => undefined;
    const place = watched.begin(() => displace());
    if (typeof place === 'string') {
      const refused = overloaded(place);
      onAnswer(refused.status);
      writeEarlyReply(request, response, refused);
      return;
    }
    let takenBytes = 0;
    const takeRoom = (sizeBytes: number): boolean => {
      if (this.#largeBodyBytes + sizeBytes > maxLargeBodies) return false;
      this.#largeBodyBytes += sizeBytes;
      takenBytes += sizeBytes;
      return true;
    };
    try {
      const read = (maxBytes: number) =>
        readBody(request, maxBytes, deadlineMs, takeRoom, (end) => {
          displace = end;
        });
      const { reply, early } = await this.#replyTo(request, watched, place, read, goOn);
      if (reply) {
        onAnswer(reply.status);
        if (early) writeEarlyReply(request, response, reply);
        else writeReply(request.method ?? 'GET', response, reply, drain.begun);
      }
    } catch (error) {
      log.error({ error: messageOf(error) }, 'a request failed in the router');
      if (!response.headersSent) {
        writeReply('GET', response, refusal(503, 'ERR_INTERNAL', 'Internal error in the router; retry later.'), true);
      } else {
        response.destroy();
      }
    } finally {
      this.#largeBodyBytes -= takenBytes;
      place.end();
    }
  }

  /** No reply when the peer is gone; `early` while the body has not been read to its end. */
  async #replyTo(
    request: PublicRequest,
    watched: Watched,
    place: RequestPlace,
    read: ReadBody,
    goOn: (() => void) | undefined,
  ): Promise<{ reply: Reply | null; early: boolean }> {
    const { forward, connections, report, deadlineMs } = this.#options;
    const startedMs = performance.now();
    const session = 'stream' in request ? request.stream.session : undefined;
    const socket = ('stream' in request ? session?.socket : request.socket) as TLSSocket | undefined;
    if (!socket) return { reply: null, early: true };
    const head = this.#headOf(request, socket);
    if ('status' in head) {
      const early = !hasNoBody(request);
      if (!early) watched.spoke();
      return { reply: head, early };
    }
    const maxBytes = head.address.rule.maxBytes;
    if (!declaresMore(request.headers['content-length'], maxBytes)) goOn?.();
    // Awaiting only actual promises keeps requests without a body within one turn.
    const reading = read(maxBytes);
    const body = reading instanceof Promise ? await reading : reading;
    if (body.kind !== 'whole') {
      if (body.kind === 'no-room') report.count('large-bodies', watched.connection.address);
      return { reply: refusalOfBody(body.kind, maxBytes), early: true };
    }
    place.whole();
    watched.spoke();
    const reply = await forward({
      ...head,
      headers: request.headers,
      body: body.body,
      sender: watched.sender(socket),
      timeoutMs: Math.max(1, deadlineMs - (performance.now() - startedMs)),
    });
    if (provesIdentity(head.address, reply.status)) {
      connections.prove(watched.connection, `token ${head.address.token}`);
    }
    return { reply, early: false };
  }

  #headOf(request: PublicRequest, socket: TLSSocket): RequestHead | Reply {
    const { tunnelHost, platforms } = this.#options;
    if (tunnelHost !== undefined && socket.servername === tunnelHost) {
      return refusal(404, 'ERR_NOT_FOUND', 'This host name is for tunnels only.');
    }
    return readHead(request, platforms);
  }
}
