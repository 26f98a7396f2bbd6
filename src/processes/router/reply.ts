/** What the router answers a device, its own refusals and an instance's answers alike, on HTTP/1.1 and HTTP/2. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type ClientHttp2Stream,
  constants,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { pipeline } from 'node:stream';
import type { ErrorCode } from '../../base/error-codes.ts';

export type PublicRequest = IncomingMessage | Http2ServerRequest;
export type PublicResponse = ServerResponse | Http2ServerResponse;

/** How long data after an early answer is read and discarded, so that its sender gets to read the answer. */
export const lingerMs = 1000;

export interface Reply {
  status: number;
  headers: OutgoingHttpHeaders;
  body: Buffer;
  /** The rest after `body`, if an answer is too large to hold. */
  rest: ClientHttp2Stream | null;
}

/** A refusal by the router itself. Codes are API; a 503 says when to retry. */
export function refusal(status: number, code: ErrorCode, message: string): Reply {
  const headers: OutgoingHttpHeaders = { 'content-type': 'application/json', 'bramble-code': code };
  if (status === 503) headers['retry-after'] = '5';
  return { status, headers, body: Buffer.from(JSON.stringify({ code, message })), rest: null };
}

/** Writes the answer; `close` ends an HTTP/1.1 connection after it. A device that disconnected is not an error. */
export function writeReply(method: string, response: PublicResponse, reply: Reply, close: boolean): void {
  if (response.writableEnded || response.destroyed) {
    reply.rest?.destroy();
    return;
  }
  const { headers, status } = reply;
  const bodiless = method === 'HEAD' || status === 204 || status === 304;
  if (!bodiless && reply.rest === null) headers['content-length'] = reply.body.length;
  if (isHttp2(response)) {
    response.writeHead(status, headers);
    if (bodiless) response.end();
    else if (reply.rest === null) response.end(reply.body);
    else stream(response, reply.body, reply.rest);
    return;
  }
  if (close) headers['connection'] = 'close';
  response.writeHead(status, headers as Record<string, string>);
  if (bodiless) response.end();
  else if (reply.rest === null) response.end(reply.body);
  else stream(response, reply.body, reply.rest);
}

/**
 * Answers a request whose body was not read to its end. On HTTP/1.1 the connection is closed once its sender could read
 * the answer; on HTTP/2 the stream is.
 */
export function writeEarlyReply(request: PublicRequest, response: PublicResponse, reply: Reply): void {
  request.resume();
  if (isHttp2(response)) {
    writeReply('GET', response, reply, true);
    // RFC 9113 §8.1: a complete answer, and no more of the request.
    response.stream?.close(constants.NGHTTP2_NO_ERROR);
    return;
  }
  if (response.destroyed) return;
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
}

/** A truncated answer must look truncated: both sides are destroyed when either breaks. */
function stream(response: PublicResponse, head: Buffer, rest: ClientHttp2Stream): void {
  if (isHttp2(response)) response.write(head);
  else response.write(head);
  pipeline(rest, response, () => undefined);
}

function isHttp2(response: PublicResponse): response is Http2ServerResponse {
  return 'stream' in response;
}
