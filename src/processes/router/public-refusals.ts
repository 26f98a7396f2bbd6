/** The public port's own refusals and their texts, without I/O. */
import { bodyTooLargeText } from '../../link/request-size.ts';
import type { LimitReason } from './public-connections.ts';
import { type Reply, refusal } from './reply.ts';
import type { RequestBody } from './request-body.ts';

/** There is no place for a request or a tunnel. */
export function overloaded(reason: LimitReason): Reply {
  const whose =
    reason === 'requests-of-connection'
      ? ' on this connection'
      : reason === 'requests-of-identity'
        ? ' by this device'
        : '';
  return refusal(503, 'ERR_OVERLOADED', `Too many requests are in progress${whose}; retry later.`);
}

/** A body that did not arrive whole; null when the peer is gone. */
export function refusalOfBody(kind: Exclude<RequestBody['kind'], 'whole'>, maxBytes: number): Reply | null {
  switch (kind) {
    case 'broken':
      return null;
    case 'too-large':
      return refusal(413, 'ERR_BODY_TOO_LARGE', bodyTooLargeText(maxBytes));
    case 'late':
      return refusal(408, 'ERR_BODY_TIMEOUT', 'The request did not end in time.');
    case 'displaced':
      return overloaded('requests');
    case 'no-room':
      return refusal(503, 'ERR_OVERLOADED', 'Too many large requests at once; retry later.');
  }
}

/** For anything but HTTP/1.1, and for a request that did not arrive in time; null when the peer is gone. */
export function refusalOfError(error: NodeJS.ErrnoException): Reply | null {
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
