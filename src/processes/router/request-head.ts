/**
 * The head of a device's request, judged before a byte of its body is read, as pure rules.
 *
 * Invariant: whatever is accepted can be sent over the link unchanged. HTTP/2 counts malformed requests against the
 * whole session, so a single unchecked value could cost everyone the link.
 *
 * @see RFC 9110 §7.2 (Host), RFC 9112 §3.2 (request targets), RFC 9113 §8.3.1 (`:authority`)
 */
import type { IncomingMessage } from 'node:http';
import { maxUrlBytes, urlTooLargeText } from '../../link/request-size.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { DeviceAddress } from '../../platforms/protocol.ts';
import { headersFit } from './forwarded-headers.ts';
import { type PublicRequest, type Reply, refusal } from './reply.ts';

export interface RequestHead {
  method: string;
  /** Path and query, of visible ASCII alone. */
  url: string;
  address: DeviceAddress;
}

/** The methods that devices use. No others are served anywhere, and no others are passed on. */
const methods = new Set(['GET', 'POST', 'PUT']);
// A name or an address, and a port: narrower than the grammar, which allows percent signs and commas.
const hostPattern = /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::\d{0,5})?$/;
const absoluteForm = /^https?:\/\/([^/?#]*)(.*)$/is;
const visible = /^[\x21-\x7e]*$/;

/** The head, or its refusal. */
export function readHead(request: PublicRequest, platforms: Platforms): RequestHead | Reply {
  const host = hostRefusal(request);
  if (host) return host;
  if (!headersFit(request.headers)) return headersTooLarge();
  const url = originForm(request);
  if (url === null) return invalidHost();
  if (url.length > maxUrlBytes) return refusal(413, 'ERR_BODY_TOO_LARGE', urlTooLargeText);
  const address = platforms.addressOf(url);
  if (address.rule.kind === 'no-token') {
    return refusal(400, 'ERR_UNKNOWN_DEVICE', 'No device of this domain has this address.');
  }
  if (address.rule.purpose === 'none') return refusal(404, 'ERR_NOT_FOUND', 'Not found: this address is not served.');
  const method = request.method ?? '';
  if (!methods.has(method)) {
    const refused = refusal(405, 'ERR_METHOD', 'Use GET, POST or PUT.');
    refused.headers['allow'] = [...methods].join(', ');
    return refused;
  }
  if (!visible.test(url)) {
    return refusal(400, 'ERR_BAD_REQUEST', 'The address has characters that must be percent-encoded.');
  }
  return { method, url, address };
}

/**
 * The refusal of a request that does not clearly name one host; null when it does. No instance needs the host, but a
 * request that two readers could understand as naming different hosts is not passed on.
 */
export function hostRefusal(request: PublicRequest): Reply | null {
  const { headers } = request;
  const authority = headers[':authority'];
  if (authority !== undefined || 'stream' in request) {
    const host = headers.host;
    const names = [authority, host].filter((name) => typeof name === 'string');
    const one = new Set(names.map((name) => name.toLowerCase())).size === 1;
    return one && names.every((name) => hostPattern.test(name)) ? null : invalidHost();
  }
  const hosts = hostsOf(request);
  if (hosts.length === 0 && request.httpVersionMajor === 1 && request.httpVersionMinor === 0) return null;
  const [host] = hosts;
  return hosts.length === 1 && host !== undefined && hostPattern.test(host) ? null : invalidHost();
}

/** Node keeps the first of several Host headers in `headers`; all of them stand in the raw ones. */
function hostsOf({ rawHeaders }: IncomingMessage): string[] {
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'host');
}

/** Path and query, also for a target in absolute form; null when invalid. */
function originForm(request: PublicRequest): string | null {
  const url = request.url ?? '';
  if ('stream' in request || url.startsWith('/')) return url;
  const [, authority, rest] = absoluteForm.exec(url) ?? [];
  if (authority === undefined || rest === undefined) return url;
  if (!hostPattern.test(authority)) return null;
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function invalidHost(): Reply {
  return refusal(
    400,
    'ERR_HOST',
    'The request needs exactly one Host (or :authority): a name or an address, with or without a port.',
  );
}

function headersTooLarge(): Reply {
  return refusal(400, 'ERR_HEADERS_TOO_LARGE', 'The request has more header bytes than a device ever sends.');
}
