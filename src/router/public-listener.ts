/**
 * The public port: TLS with HTTP/1.1 and HTTP/2, where devices come in. A client certificate is asked for and passed on,
 * never judged here: the instance compares its fingerprint.
 *
 * Invariant: a request is counted as under way from its first byte to its last answer, so that draining loses none.
 */
import type { IncomingMessage } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { messageOf } from '../base/errors.ts';
import { bodyBytesAtMost, bodyTooLargeText, declaresMore } from '../link/device-address.ts';
import type { Logger } from '../process/logger.ts';
import { type DeviceEnd, http1End, http2End, writePlainReply } from './device-end.ts';
import { clientCertificateOf, type Sender } from './forwarded-headers.ts';
import type { Forwarder } from './forwarder.ts';
import { type PublicRequest, type PublicResponse, type Reply, refusal, writeEarlyReply, writeReply } from './reply.ts';
import { hasNoBody, readBody, type TakeRoom } from './request-body.ts';
import { hostRefusal, type RequestHead, readHead } from './request-head.ts';
import type { TunnelOpener } from './tunnel-opener.ts';

export interface PublicListenerOptions {
  certificatePem: string;
  privateKeyPem: string;
  /** SNI name of tunnels; CONNECT elsewhere is refused, and requests there too. Undefined: any name. */
  tunnelHost: string | undefined;
  forward: Forwarder;
  tunnel: TunnelOpener;
  log: Logger;
  /** From the first byte of a request to its answer. Default 30000. */
  deadlineMs?: number;
  /** Bytes of all bodies under way, of each what is beyond `smallBodyBytes`. Default 256 MiB. */
  largeBodiesAtMost?: number;
  onAnswer?: (status: number) => void;
}

export interface PublicListener {
  readonly server: Http2SecureServer;
  readonly requestsUnderWay: number;
  /** Ends connections as they fall idle; those still open after `graceMs` are cut. The server must be closed before. */
  drain(graceMs: number): Promise<void>;
}

// A keep-alive connection without a request may be about to send one; so long it may still do so while draining.
const idleGraceMs = 1500;

export function createPublicListener(options: PublicListenerOptions): PublicListener {
  const senders = new WeakMap<object, Sender>();
  /** Requests under way of a connection of HTTP/1.1. */
  const answering = new WeakMap<object, number>();
  const sockets = new Set<TLSSocket>();
  const sessions = new Set<ServerHttp2Session>();
  const deadlineMs = options.deadlineMs ?? 30_000;
  const largeBodiesAtMost = options.largeBodiesAtMost ?? 256 * 1024 * 1024;
  let largeBodyBytes = 0;
  let underWay = 0;
  let draining = false;
  let onQuiet: () => void = () => undefined;

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
  });
  // Node keeps the settings of HTTP/1.1 on the server; longer than a device pauses between two commands.
  Object.assign(server, { keepAliveTimeout: 65_000, headersTimeout: 20_000, requestTimeout: deadlineMs + 5000 });
  // Node's own refusal of a request without Host has no body, and one of HTTP/1.0 needs none: see `hostRefusal`.
  Object.assign(server, { requireHostHeader: false });
  // Node's close() would cut keep-alive connections on which a request is just arriving; draining ends them in good order.
  Object.assign(server, { closeIdleConnections: () => undefined });

  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', (error) => options.log.debug({ error: messageOf(error) }, 'device connection broke'));
  });
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    session.on('error', (error) => options.log.debug({ error: messageOf(error) }, 'device session broke'));
    session.setTimeout(10 * 60_000, () => session.close());
    if (draining) session.close();
  });
  server.on('sessionError', (error) => options.log.debug({ error: messageOf(error) }, 'device session failed'));
  server.on('tlsClientError', (error) => options.log.debug({ error: messageOf(error) }, 'TLS handshake failed'));
  server.on('request', (request, response) => void answer(request, response));
  server.on('checkContinue', (request, response) => void answer(request, response, () => response.writeContinue()));
  server.on('checkExpectation', (request: PublicRequest, response: PublicResponse) => {
    const unmet = refusal(417, 'ERR_BAD_REQUEST', 'The router meets no expectation but 100-continue.');
    options.onAnswer?.(unmet.status);
    writeEarlyReply(request, response, unmet);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const broken = refusalOf(error);
    // Behind an answer under way nothing else can be said.
    if (broken === null || (answering.get(socket) ?? 0) > 0) {
      socket.destroy();
      return;
    }
    options.onAnswer?.(broken.status);
    writePlainReply(socket, broken);
  });
  server.on('connect', (request: Http2ServerRequest | IncomingMessage, socket: Duplex, head: Buffer) => {
    if ('stream' in request) {
      const stream = request.stream as ServerHttp2Stream;
      const { session } = stream;
      if (session) void openTunnel(http2End(stream, request.headers), session, session.socket as TLSSocket);
      return;
    }
    const end = http1End(request, socket as TLSSocket, head);
    const invalid = hostRefusal(request);
    if (invalid) {
      options.onAnswer?.(invalid.status);
      end.refuse(invalid);
    } else void openTunnel(end, socket, socket as TLSSocket);
  });

  async function openTunnel(end: DeviceEnd, key: object, socket: TLSSocket): Promise<void> {
    const status = await options.tunnel(end, senderOf(key, socket));
    options.onAnswer?.(status);
  }

  function senderOf(key: object, socket: TLSSocket): Sender {
    let sender = senders.get(key);
    if (!sender) {
      sender = {
        clientCertificate: clientCertificateOf(socket.getPeerX509Certificate()?.raw),
        remoteAddress: socket.remoteAddress ?? '',
      };
      senders.set(key, sender);
    }
    return sender;
  }

  /** @param goOn says that the body may come. */
  async function answer(request: PublicRequest, response: PublicResponse, goOn?: () => void): Promise<void> {
    const { socket } = request;
    underWay += 1;
    answering.set(socket, (answering.get(socket) ?? 0) + 1);
    let takenBytes = 0;
    const takeRoom = (sizeBytes: number): boolean => {
      if (largeBodyBytes + sizeBytes > largeBodiesAtMost) return false;
      largeBodyBytes += sizeBytes;
      takenBytes += sizeBytes;
      return true;
    };
    try {
      const { reply, early } = await replyTo(request, takeRoom, goOn);
      if (reply) {
        options.onAnswer?.(reply.status);
        if (early) writeEarlyReply(request, response, reply);
        else writeReply(request.method ?? 'GET', response, reply, draining);
      }
    } catch (error) {
      options.log.error({ error: messageOf(error) }, 'a request failed in the router');
      if (!response.headersSent) {
        writeReply('GET', response, refusal(503, 'ERR_INTERNAL', 'The router failed; come again.'), true);
      } else {
        response.destroy();
      }
    } finally {
      underWay -= 1;
      answering.set(socket, (answering.get(socket) ?? 1) - 1);
      largeBodyBytes -= takenBytes;
      if (underWay === 0) onQuiet();
    }
  }

  /** No reply where nobody is left to hear one; `early` while the body is not read to its end. */
  async function replyTo(
    request: PublicRequest,
    takeRoom: TakeRoom,
    goOn: (() => void) | undefined,
  ): Promise<{ reply: Reply | null; early: boolean }> {
    const startedMs = performance.now();
    const session = 'stream' in request ? request.stream.session : undefined;
    const socket = ('stream' in request ? session?.socket : request.socket) as TLSSocket | undefined;
    if (!socket) return { reply: null, early: true };
    const head = headOf(request, socket);
    if ('status' in head) return { reply: head, early: !hasNoBody(request) };
    const bytesAtMost = bodyBytesAtMost(head.address.kind);
    if (!declaresMore(request.headers['content-length'], bytesAtMost)) goOn?.();
    // Awaiting only what is a promise keeps requests without a body in one turn.
    const reading = readBody(request, bytesAtMost, deadlineMs, takeRoom);
    const body = reading instanceof Promise ? await reading : reading;
    switch (body.kind) {
      case 'broken':
        return { reply: null, early: true };
      case 'too-large':
        return { reply: refusal(413, 'ERR_BODY_TOO_LARGE', bodyTooLargeText(head.address.kind)), early: true };
      case 'late':
        return { reply: refusal(408, 'ERR_BODY_TIMEOUT', 'The request did not end in time.'), early: true };
      case 'no-room':
        return { reply: refusal(503, 'ERR_OVERLOADED', 'Too many large requests at once; come again.'), early: true };
      case 'whole':
    }
    const reply = await options.forward({
      ...head,
      headers: request.headers,
      body: body.body,
      sender: senderOf(session ?? socket, socket),
      timeoutMs: Math.max(1, deadlineMs - (performance.now() - startedMs)),
    });
    return { reply, early: false };
  }

  function headOf(request: PublicRequest, socket: TLSSocket): RequestHead | Reply {
    if (options.tunnelHost !== undefined && socket.servername === options.tunnelHost) {
      return refusal(404, 'ERR_NOT_FOUND', 'This name is for tunnels alone.');
    }
    return readHead(request);
  }

  return {
    server,
    get requestsUnderWay() {
      return underWay;
    },
    drain: async (graceMs) => {
      draining = true;
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      for (const session of sessions) session.close();
      await new Promise((resolve) => setTimeout(resolve, Math.min(idleGraceMs, graceMs)));
      if (underWay > 0) {
        await new Promise<void>((resolve) => {
          onQuiet = resolve;
        });
      }
      const http2Sockets = new Set([...sessions].map((session) => session.socket.remotePort));
      // Whatever is written of an answer still goes out: the socket ends after it.
      for (const socket of sockets) if (!http2Sockets.has(socket.remotePort)) socket.end();
      await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
      clearTimeout(cut);
    },
  };
}

/** The refusal of what is no HTTP/1.1, and of a request that did not come in time; null where nobody is left to hear it. */
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
      return refusal(400, 'ERR_BAD_REQUEST', 'This is no valid request of HTTP/1.1.');
  }
}
