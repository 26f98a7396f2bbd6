/**
 * Whose page a request comes from. A browser sends its cookies along whatever page asked, and a name that a stranger owns can be
 * made to lead to this address: so what is asked with a cookie, or sets one, has to name this service as its host, and come from a page
 * of it. Requests with a token are not asked: no page that is not ours has one.
 */
import type { FastifyRequest } from 'fastify';
import { arrivedAt, isOwnName } from '../../base/console-origin.ts';
import { BrambleError } from '../../base/errors.ts';

/** A request to any route. */
export type Asking = Pick<FastifyRequest, 'headers' | 'ip' | 'raw' | 'method'>;

/** Under which names it may have been reached; where the console does not listen, under no name but localhost. */
const arrival = ({ raw }: Asking) => arrivedAt(raw) ?? { scheme: 'http', names: [] };

/** @throws BrambleError ERR_ORIGIN */
export function assertOwnPage(request: Asking): void {
  const { host } = request.headers;
  if (!isOwnName(host, arrival(request))) {
    throw new BrambleError(
      'ERR_ORIGIN',
      `"${(host ?? '').slice(0, 200)}" is not a name of this service. Open it under localhost, or under a name that ` +
        '`console.names` in config.json lists.',
    );
  }
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
  const schemes = arrival(request).scheme === 'https' ? ['https:'] : ['http:', 'https:'];
  return schemes.includes(url.protocol) && url.host === (request.headers.host ?? '').toLowerCase();
}
