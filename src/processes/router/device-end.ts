/**
 * The device's end of a CONNECT, on HTTP/1.1 and HTTP/2 alike.
 *
 * Invariant: an orderly end and a break are distinguished on both: in HTTP/2 a break is a reset, in HTTP/1.1 the
 * connection ends without TLS's `close_notify`.
 *
 * @see RFC 9112 §3.2.3, RFC 9110 §9.3.6 (a 2xx answer has only a head), RFC 9113 §8.5
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { breakOff } from '../../link/one-way.ts';
import { lingerMs, type Reply } from './reply.ts';

export interface DeviceEnd {
  /** SNI, as received in TLS. */
  readonly serverName: string | undefined;
  /** What the device asked for: `host:port`, or anything else. */
  readonly target: string;
  readonly stream: ServerHttp2Stream | TLSSocket;
  /** Once the stream is closed: whether that was a break. */
  readonly broken: boolean;
  /** Tells the device that the tunnel is open. */
  accept(): void;
  refuse(reply: Reply): void;
  breakOff(reason: string): void;
}

export function http2End(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): DeviceEnd {
  return {
    serverName: serverNameOf(stream.session?.socket as TLSSocket | undefined),
    target: headers[':authority'] ?? '',
    stream,
    get broken() {
      // A reset without an error breaks off what was not ended, too.
      return stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR;
    },
    accept: () => stream.respond({ ':status': 200 }),
    refuse: (reply) => {
      if (stream.destroyed || stream.headersSent) return;
      stream.respond({ ':status': reply.status, ...reply.headers });
      stream.end(reply.body);
      // Further data from the device is not read.
      stream.close(constants.NGHTTP2_NO_ERROR);
    },
    breakOff: (reason) => breakOff(stream, reason),
  };
}

/** @param head tunnel bytes that arrived together with the request. */
export function http1End(request: IncomingMessage, socket: TLSSocket, head: Buffer): DeviceEnd {
  let ended = false;
  // The device may finish sending and still receive.
  socket.allowHalfOpen = true;
  socket.once('end', () => {
    ended = true;
  });
  if (head.length > 0) socket.unshift(head);
  return {
    serverName: serverNameOf(socket),
    target: request.url ?? '',
    stream: socket,
    get broken() {
      return !ended || !socket.writableFinished;
    },
    accept: () => void socket.write('HTTP/1.1 200 Connection Established\r\n\r\n'),
    refuse: (reply) => writePlainReply(socket, reply),
    breakOff: () => void socket.destroy(),
  };
}

/** Answers where there is no response object, and ends the connection. */
export function writePlainReply(socket: TLSSocket, reply: Reply): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const headers = { ...reply.headers, 'content-length': reply.body.length, connection: 'close' };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const status = `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? ''}`;
  socket.write(`${status}\r\n${lines.join('')}\r\n`);
  socket.end(reply.body);
  // Whatever the peer still sends is discarded; a peer that does not read its answer is not waited for.
  socket.resume();
  const late = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(late));
}

/** Undefined without SNI, which Node calls false. */
function serverNameOf(socket: TLSSocket | undefined): string | undefined {
  return socket?.servername || undefined;
}
