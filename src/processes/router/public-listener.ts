/**
 * The public port, put together: TLS with HTTP/1.1 and HTTP/2, where devices connect. A client certificate is asked for
 * and passed on, never judged here: the instance compares its fingerprint.
 *
 * Invariant: a request is counted as under way from its first byte to its last answer, so that draining loses none; and
 * even after its stream, if the device abandons that (`public-requests.ts`).
 */
import type { IncomingMessage } from 'node:http';
import type { Http2SecureServer, Http2ServerRequest, ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { addressRanges } from '../../base/address-ranges.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { Logger } from '../../process/log/logger.ts';
import { type ConnectionWatch, watchConnections, watchFrames } from './connection-watch.ts';
import { http1End, http2End, writePlainReply } from './device-end.ts';
import type { Forwarder } from './forwarder.ts';
import { createLimitReport, type LimitReport } from './limit-report.ts';
import { type LimitReason, PublicConnections } from './public-connections.ts';
import { createPublicDrain, type DrainTimes } from './public-drain.ts';
import type { PublicLimits } from './public-limits.ts';
import { refusalOfError } from './public-refusals.ts';
import { PublicRequests } from './public-requests.ts';
import { createPublicServer } from './public-server.ts';
import { createPublicTunnels, type PublicTunnels } from './public-tunnels.ts';
import { type PublicRequest, type PublicResponse, refusal, writeEarlyReply } from './reply.ts';
import { hostRefusal } from './request-head.ts';
import type { TunnelOpener } from './tunnel-opener.ts';

interface PublicListenerOptions {
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
  /** Addresses whose connections must begin with a PROXY header. Default: none. */
  balancers?: readonly string[];
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
  const { log, limits, deadlineMs = 30_000, maxLargeBodies = 256 * 1024 * 1024 } = options;
  const report = createLimitReport(log, (reason) => options.onLimit?.(reason), options.reportEveryMs);
  const onAnswer = (status: number) => options.onAnswer?.(status);
  const connections = new PublicConnections(limits);
  const server = createPublicServer({ ...options, deadlineMs });
  const watch = watchConnections(server, connections, limits, report, {
    ...addressRanges(options.balancers ?? []),
    onRefused: (balancer, reason) => log.warn({ balancer, reason }, 'a balancer’s connection has no PROXY header'),
  });
  const drain = createPublicDrain(server, watch, options.clock ?? systemClock);
  const port = { connections, watch, drain, report, onAnswer };
  const requests = new PublicRequests({ ...options, ...port, deadlineMs, maxLargeBodies });
  const tunnels = createPublicTunnels({ ...port, open: options.tunnel });
  watchErrors(server, watch, report, options);
  server.on('request', (request, response) => void requests.answer(request, response));
  server.on('checkContinue', (request, response) => {
    void requests.answer(request, response, () => response.writeContinue());
  });
  server.on('checkExpectation', (request: PublicRequest, response: PublicResponse) => {
    const unmet = refusal(417, 'ERR_BAD_REQUEST', 'Only Expect: 100-continue is supported.');
    onAnswer(unmet.status);
    writeEarlyReply(request, response, unmet);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const broken = refusalOfError(error);
    // Once an answer is under way, nothing else can be sent.
    if (broken === null || (watch.of(socket)?.connection.requests ?? 0) > 0) {
      socket.destroy();
      return;
    }
    onAnswer(broken.status);
    writePlainReply(socket, broken);
  });
  server.on('connect', (request: Http2ServerRequest | IncomingMessage, socket: Duplex, head: Buffer) => {
    takeConnect(tunnels, request, socket, head);
  });
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

/** No connection may break without a listener, and a session whose connection is gone is closed. */
function watchErrors(
  server: Http2SecureServer,
  watch: ConnectionWatch,
  report: LimitReport,
  { log, limits }: Pick<PublicListenerOptions, 'log' | 'limits'>,
): void {
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
}

/** In HTTP/2 Node passes the response in place of the socket: a tunnel there is a stream. */
function takeConnect(
  tunnels: PublicTunnels,
  request: Http2ServerRequest | IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  if ('stream' in request) {
    const stream = request.stream as ServerHttp2Stream;
    const session = stream.session?.socket as TLSSocket | undefined;
    if (session) void tunnels(http2End(stream, request.headers), session, null);
  } else {
    const end = http1End(request, socket as TLSSocket, head);
    void tunnels(end, socket as TLSSocket, hostRefusal(request));
  }
}
