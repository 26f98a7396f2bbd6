/**
 * Whose page a request comes from. A browser sends its cookies along whatever page asked, and a name that a stranger owns can be
 * made to lead to this address: so what is asked with a cookie, or sets one, has to name this service as its host, and come from a page
 * of it. Requests with a token are not asked: no page that is not ours has one.
 */
import type { FastifyRequest } from 'fastify';
import { BrambleError } from '../../base/errors.ts';

/** A request to any route. */
export type Asking = Pick<FastifyRequest, 'headers' | 'ip' | 'raw' | 'method'>;

/** Names, without ports, that this service answers to besides those of loopback. */
export type OwnNames = () => readonly string[];

const loopback = ['localhost', '127.0.0.1', '[::1]'];

/** @throws BrambleError ERR_ORIGIN */
function assertOwnHost(request: Asking, names: OwnNames): void {
  const host = request.headers.host ?? '';
  const name = host.replace(/:\d+$/, '').toLowerCase();
  if ([...loopback, ...names()].includes(name)) return;
  throw new BrambleError(
    'ERR_ORIGIN',
    `"${host.slice(0, 200)}" is not a name of this service. Open it under localhost, or under a name that its ` +
      'configuration lists.',
  );
}

/** @throws BrambleError ERR_ORIGIN */
export function assertOwnPage(request: Asking, names: OwnNames): void {
  assertOwnHost(request, names);
  const site = request.headers['sec-fetch-site'];
  const reads = request.method === 'GET' || request.method === 'HEAD';
  // Another port of the same host is the same site; `none` is the address bar.
  const foreign = site !== undefined && site !== 'same-origin' && !(reads && site === 'none');
  const { origin } = request.headers;
  if (!foreign && (origin === undefined ? reads : isOwn(origin, request))) return;
  throw new BrambleError('ERR_ORIGIN', 'The request does not come from a page of this service.');
}

function isOwn(origin: string, request: Asking): boolean {
  const url = URL.parse(origin);
  if (url === null || url.origin !== origin) return false;
  // TLS may end at a proxy, which this service does not see.
  const schemes = 'encrypted' in request.raw.socket ? ['https:'] : ['http:', 'https:'];
  return schemes.includes(url.protocol) && url.host === (request.headers.host ?? '').toLowerCase();
}
