/** What the router answers a device, its own refusals and an instance's answers alike, on HTTP/1.1 and HTTP/2. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ClientHttp2Stream, Http2ServerRequest, Http2ServerResponse, OutgoingHttpHeaders } from 'node:http2';
import { pipeline } from 'node:stream';
import type { ErrorCode } from '../base/errors.ts';

export type PublicRequest = IncomingMessage | Http2ServerRequest;
export type PublicResponse = ServerResponse | Http2ServerResponse;

export interface Reply {
  status: number;
  headers: OutgoingHttpHeaders;
  body: Buffer;
  /** What follows `body`, where an answer is too large to hold. */
  rest: ClientHttp2Stream | null;
}

/** A refusal by the router itself. Codes are API; a 503 says when to come again. */
export function refusal(status: number, code: ErrorCode, message: string): Reply {
  const headers: OutgoingHttpHeaders = { 'content-type': 'application/json', 'bramble-code': code };
  if (status === 503) headers['retry-after'] = '5';
  return { status, headers, body: Buffer.from(JSON.stringify({ code, message })), rest: null };
}

/** Writes the answer; `close` ends an HTTP/1.1 connection after it. A device that went away is no error. */
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

/** A half answer must look like one: both sides are destroyed when either breaks. */
function stream(response: PublicResponse, head: Buffer, rest: ClientHttp2Stream): void {
  if (isHttp2(response)) response.write(head);
  else response.write(head);
  pipeline(rest, response, () => undefined);
}

export function isHttp2(response: PublicResponse): response is Http2ServerResponse {
  return 'stream' in response;
}
