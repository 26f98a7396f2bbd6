/**
 * The public port: TLS with HTTP/1.1 and HTTP/2, where devices connect. A client certificate is asked for and passed
 * on, never judged here: the instance compares its fingerprint.
 *
 * Invariant: a request is counted as under way from its first byte to its last answer, so that draining loses none; and
 * even after its stream, if the device abandons that, so that nobody gets more work done by abandoning requests.
 */
import type { IncomingMessage } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { type TLSSocket, Server as TlsServer } from 'node:tls';
import { type Clock, systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { bodyTooLargeText, declaresMore } from '../../link/request-size.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { Logger } from '../../process/log/logger.ts';
import { type Watched, watchConnections, watchFrames } from './connection-watch.ts';
import { type DeviceEnd, http1End, http2End, writePlainReply } from './device-end.ts';
import type { Forwarder } from './forwarder.ts';
import { createLimitReport } from './limit-report.ts';
import { provesIdentity } from './proven-identity.ts';
import { type LimitReason, PublicConnections, type RequestPlace } from './public-connections.ts';
import { createPublicDrain, type DrainTimes } from './public-drain.ts';
import type { PublicLimits } from './public-limits.ts';
import { type PublicRequest, type PublicResponse, type Reply, refusal, writeEarlyReply, writeReply } from './reply.ts';
import { hasNoBody, readBody } from './request-body.ts';
import { hostRefusal, type RequestHead, readHead } from './request-head.ts';
import type { TunnelOpener } from './tunnel-opener.ts';

export interface PublicListenerOptions {
  platforms: Platforms;
  certificatePem: string;
  privateKeyPem: string;
  /** SNI name of tunnels; CONNECT elsewhere is refused, and requests there too. Undefined: any name. */
  tunnelHost: string | undefined;
  forward: Forwarder;
  tunnel: TunnelOpener;
  log: Logger;
  /** From the first byte of a request to its answer. Default 30000. */
  deadlineMs?: number;
  /** Total bytes of bodies under way, counting what exceeds `smallBodyBytes` in each. Default 256 MiB. */
  maxLargeBodies?: number;
  limits: PublicLimits;
  onAnswer?: (status: number) => void;
  /** A connection was cut, or a request refused, for lack of room. */
  onLimit?: (reason: LimitReason) => void;
  /** Between two lines of the log about that. Default 60000. */
  reportEveryMs?: number;
  clock?: Clock;
}

export interface PublicListener {
  readonly server: Http2SecureServer;
  readonly connections: PublicConnections;
  readonly requestsUnderWay: number;
  /** Ends each connection with its next answer, or when it stays idle. The server must be closed before. */
  drain(times: DrainTimes): Promise<void>;
}

export function createPublicListener(options: PublicListenerOptions): PublicListener {
  const { log, limits } = options;
  const report = createLimitReport(log, (reason) => options.onLimit?.(reason), options.reportEveryMs);
  const connections = new PublicConnections(limits);
  const deadlineMs = options.deadlineMs ?? 30_000;
  const maxLargeBodies = options.maxLargeBodies ?? 256 * 1024 * 1024;
  let largeBodyBytes = 0;

  const server = createSecureServer({
    cert: options.certificatePem,
    key: options.privateKeyPem,
    allowHTTP1: true,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    handshakeTimeout: 20_000,
    noDelay: true,
    maxSessionMemory: 64,
    settings: { enablePush: false, maxConcurrentStreams: 256, initialWindowSize: 256 * 1024 },
    // nghttp2 counts before a turn of JavaScript is spent; see also `watchFrames`.
    maxSessionInvalidFrames: 100,
    streamResetBurst: limits.controlFrames,
    streamResetRate: limits.controlFramesPerSecond,
  });
  const watch = watchConnections(server, connections, limits, report);
  const drain = createPublicDrain(server, watch, options.clock ?? systemClock);
  // Node keeps the settings of HTTP/1.1 on the server; longer than a device pauses between two commands.
  Object.assign(server, { keepAliveTimeout: 65_000, headersTimeout: 20_000, requestTimeout: deadlineMs + 5000 });
  // Node's own refusal of a request without Host has no body, and one of HTTP/1.0 needs none: see `hostRefusal`.
  Object.assign(server, { requireHostHeader: false });
  // Node's close() would also cut keep-alive connections on which a request is just arriving, and end every HTTP/2 session;
  // here it only stops listening, and draining ends them in good order.
  Object.assign(server, { close: TlsServer.prototype.close });

  server.on('secureConnection', (socket) => {
    socket.on('error', (error) => log.debug({ error: messageOf(error) }, 'device connection failed'));
  });
  server.on('session', (session) => {
    const watched = watch.of(session.socket);
    session.on('error', (error: NodeJS.ErrnoException) => {
      log.debug({ error: messageOf(error) }, 'device session broke off');
      // nghttp2's errors for frames over its limits, too many resets among them.
      if (watched && error.code?.startsWith('ERR_HTTP2_')) report.count('refused-frames', watched.connection.address);
    });
    if (watched) {
      watched.onIdle = () => session.close();
      watchFrames(session, watched, limits);
    } else {
      session.close();
    }
  });
  server.on('sessionError', (error) => log.debug({ error: messageOf(error) }, 'device session failed'));
  server.on('tlsClientError', (error) => log.debug({ error: messageOf(error) }, 'TLS handshake failed'));
  server.on('request', (request, response) => void answer(request, response));
  server.on('checkContinue', (request, response) => void answer(request, response, () => response.writeContinue()));
  server.on('checkExpectation', (request: PublicRequest, response: PublicResponse) => {
    const unmet = refusal(417, 'ERR_BAD_REQUEST', 'The router supports no expectation other than 100-continue.');
    options.onAnswer?.(unmet.status);
    writeEarlyReply(request, response, unmet);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const broken = refusalOf(error);
    // Once an answer is under way, nothing else can be sent.
    if (broken === null || (watch.of(socket)?.connection.requests ?? 0) > 0) {
      socket.destroy();
      return;
    }
    options.onAnswer?.(broken.status);
    writePlainReply(socket, broken);
  });
  server.on('connect', (request: Http2ServerRequest | IncomingMessage, socket: Duplex, head: Buffer) => {
    if ('stream' in request) {
      const stream = request.stream as ServerHttp2Stream;
      const session = stream.session?.socket as TLSSocket | undefined;
      if (session) void openTunnel(http2End(stream, request.headers), session, null);
    } else {
      const end = http1End(request, socket as TLSSocket, head);
      void openTunnel(end, socket as TLSSocket, hostRefusal(request));
    }
  });

  async function openTunnel(end: DeviceEnd, socket: TLSSocket, invalid: Reply | null): Promise<void> {
    const watched = watch.of(socket);
    if (!watched) return;
    const place = invalid ?? watched.begin(() => undefined);
    if (typeof place === 'string' || 'status' in place) {
      const refused = typeof place === 'string' ? overloaded(place) : place;
      options.onAnswer?.(refused.status);
      end.refuse(refused);
      return;
    }
    place.whole();
    watched.spoke();
    try {
      const sender = watched.sender(socket);
      const status = await options.tunnel(end, sender);
      options.onAnswer?.(status);
      if (status !== 200) return;
      // The connection service knows the device by its certificate, and answers for it.
      connections.prove(watched.connection, `certificate ${sender.clientCertificate ?? ''}`);
      watched.hold();
      if (end.stream.closed) watched.release();
      else end.stream.once('close', () => watched.release());
    } finally {
      place.end();
    }
  }

  /** @param goOn says that the body may come. */
  async function answer(request: PublicRequest, response: PublicResponse, goOn?: () => void): Promise<void> {
    const watched = watch.of(request.socket);
    if (!watched) return;
    let displace: () => void = () => undefined;
    const place = watched.begin(() => displace());
    if (typeof place === 'string') {
      const refused = overloaded(place);
      options.onAnswer?.(refused.status);
      writeEarlyReply(request, response, refused);
      return;
    }
    let takenBytes = 0;
    const takeRoom = (sizeBytes: number): boolean => {
      if (largeBodyBytes + sizeBytes > maxLargeBodies) return false;
      largeBodyBytes += sizeBytes;
      takenBytes += sizeBytes;
      return true;
    };
    try {
      const read = (maxBytes: number) =>
        readBody(request, maxBytes, deadlineMs, takeRoom, (end) => {
          displace = end;
        });
      const { reply, early } = await replyTo(request, watched, place, read, goOn);
      if (reply) {
        options.onAnswer?.(reply.status);
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
      largeBodyBytes -= takenBytes;
      place.end();
    }
  }

  /** No reply when the peer is gone; `early` while the body has not been read to its end. */
  async function replyTo(
    request: PublicRequest,
    watched: Watched,
    place: RequestPlace,
    read: (maxBytes: number) => ReturnType<typeof readBody>,
    goOn: (() => void) | undefined,
  ): Promise<{ reply: Reply | null; early: boolean }> {
    const startedMs = performance.now();
    const session = 'stream' in request ? request.stream.session : undefined;
    const socket = ('stream' in request ? session?.socket : request.socket) as TLSSocket | undefined;
    if (!socket) return { reply: null, early: true };
    const head = headOf(request, socket);
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
    switch (body.kind) {
      case 'broken':
        return { reply: null, early: true };
      case 'too-large':
        return { reply: refusal(413, 'ERR_BODY_TOO_LARGE', bodyTooLargeText(maxBytes)), early: true };
      case 'late':
        return { reply: refusal(408, 'ERR_BODY_TIMEOUT', 'The request did not end in time.'), early: true };
      case 'displaced':
        return { reply: overloaded('requests'), early: true };
      case 'no-room':
        report.count('large-bodies', watched.connection.address);
        return { reply: refusal(503, 'ERR_OVERLOADED', 'Too many large requests at once; retry later.'), early: true };
      case 'whole':
        place.whole();
        watched.spoke();
    }
    const reply = await options.forward({
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

  function headOf(request: PublicRequest, socket: TLSSocket): RequestHead | Reply {
    if (options.tunnelHost !== undefined && socket.servername === options.tunnelHost) {
      return refusal(404, 'ERR_NOT_FOUND', 'This host name is for tunnels only.');
    }
    return readHead(request, options.platforms);
  }

  return {
    server,
    connections,
    get requestsUnderWay() {
      return connections.requests;
    },
    drain: async (times) => {
      await drain.drain(times);
      report.close();
    },
  };
}

function overloaded(reason: LimitReason): Reply {
  const whose =
    reason === 'requests-of-connection'
      ? ' on this connection'
      : reason === 'requests-of-identity'
        ? ' by this device'
        : '';
  return refusal(503, 'ERR_OVERLOADED', `Too many requests are in progress${whose}; retry later.`);
}

/** The refusal of anything but HTTP/1.1, and of a request that did not arrive in time; null when the peer is gone. */
function refusalOf(error: NodeJS.ErrnoException): Reply | null {
  switch (error.code) {
    case 'ECONNRESET':
    case 'EPIPE':
      return null;
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refusal(408, 'ERR_BODY_TIMEOUT', 'The request did not end in time.');
    case 'HPE_HEADER_OVERFLOW':
      return refusal(431, 'ERR_HEADERS_TOO_LARGE', 'The request has more header bytes than a device ever sends.');
    default:
      return refusal(400, 'ERR_BAD_REQUEST', 'This is not a valid HTTP/1.1 request.');
  }
}
