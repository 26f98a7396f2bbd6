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
import type { Logger } from '../process/logger.ts';
import { clientCertificateOf, type Sender } from './forwarded-headers.ts';
import type { Forwarder } from './forwarder.ts';
import { isHttp2, type PublicRequest, type PublicResponse, type Reply, refusal, writeReply } from './reply.ts';
import { readBody, type TakeRoom } from './request-body.ts';
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

// How long an oversized body is read and thrown away, so that its sender gets to read the 413.
const lingerMs = 1000;
// A keep-alive connection without a request may be about to send one; so long it may still do so while draining.
const idleGraceMs = 1500;

export function createPublicListener(options: PublicListenerOptions): PublicListener {
  const senders = new WeakMap<object, Sender>();
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
  server.on('connect', (request: Http2ServerRequest | IncomingMessage, socket: Duplex) => {
    if ('stream' in request) {
      const stream = request.stream as ServerHttp2Stream;
      const { session } = stream;
      if (session) options.tunnel(stream, request.headers, senderOf(session, session.socket as TLSSocket));
    } else {
      socket.end('HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    }
  });

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

  async function answer(request: PublicRequest, response: PublicResponse): Promise<void> {
    underWay += 1;
    let takenBytes = 0;
    const takeRoom = (sizeBytes: number): boolean => {
      if (largeBodyBytes + sizeBytes > largeBodiesAtMost) return false;
      largeBodyBytes += sizeBytes;
      takenBytes += sizeBytes;
      return true;
    };
    try {
      const reply = await replyTo(request, response, takeRoom);
      if (reply) {
        options.onAnswer?.(reply.status);
        writeReply(request.method ?? 'GET', response, reply, draining);
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
      largeBodyBytes -= takenBytes;
      if (underWay === 0) onQuiet();
    }
  }

  /** Null when nothing is left to answer. */
  async function replyTo(request: PublicRequest, response: PublicResponse, takeRoom: TakeRoom): Promise<Reply | null> {
    const startedMs = performance.now();
    // Awaiting only what is a promise keeps requests without a body in one turn.
    const reading = readBody(request, deadlineMs, takeRoom);
    const body = reading instanceof Promise ? await reading : reading;
    if (body.kind === 'broken') return null;
    if (body.kind === 'too-large') {
      const tooLarge = refusal(413, 'ERR_BODY_TOO_LARGE', 'A request of a device has at most 1 MiB.');
      return refuseUnread(request, response, tooLarge);
    }
    if (body.kind === 'late') {
      return refuseUnread(request, response, refusal(408, 'ERR_BODY_TIMEOUT', 'The request did not end in time.'));
    }
    if (body.kind === 'no-room') {
      const busy = refusal(503, 'ERR_OVERLOADED', 'Too many large requests at once; come again.');
      return refuseUnread(request, response, busy);
    }
    const http2 = 'stream' in request;
    const session = http2 ? request.stream.session : undefined;
    const socket = (http2 ? session?.socket : request.socket) as TLSSocket | undefined;
    if (!socket) return null;
    if (options.tunnelHost !== undefined && socket.servername === options.tunnelHost) {
      return refusal(404, 'ERR_NOT_FOUND', 'This name is for tunnels alone.');
    }
    return await options.forward({
      method: request.method ?? 'GET',
      url: request.url ?? '/',
      headers: request.headers,
      body: body.body,
      sender: senderOf(session ?? socket, socket),
      timeoutMs: Math.max(1, deadlineMs - (performance.now() - startedMs)),
    });
  }

  /** Answers before the body ended; the connection is closed once its sender could read the answer. */
  function refuseUnread(request: PublicRequest, response: PublicResponse, reply: Reply): null {
    options.onAnswer?.(reply.status);
    if (isHttp2(response)) {
      writeReply('GET', response, reply, true);
      return null;
    }
    response.writeHead(reply.status, {
      ...(reply.headers as Record<string, string>),
      'content-length': reply.body.length,
      connection: 'close',
    });
    response.write(reply.body);
    const end = () => {
      clearTimeout(timer);
      response.end();
    };
    const timer = setTimeout(end, lingerMs);
    request.once('close', end);
    request.once('end', end);
    return null;
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
