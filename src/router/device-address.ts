/**
 * Which of the domain's addresses a path is, as a pure rule.
 *
 * Invariant: only these addresses ever reach an instance, so that nothing from outside can name a control path of the
 * link, whatever it is encoded as.
 */

export type DeviceAddress =
  | { kind: 'device'; token: string }
  /** Shaped like a device address, with something that is no token. */
  | { kind: 'no-token' }
  | { kind: 'activation' }
  | { kind: 'unknown' };

const device = /^\/(?:mdm|scep)\/([^/]*)(?:\/|$)/;
const token = /^[A-Za-z0-9_-]{43}$/;
// Segments that some URL parser behind could resolve, and separators in disguise.
const disguised = /\/\.{1,2}(?:\/|$)|\/\/|\\|%2e|%2f|%5c|%00/i;

/** @param url path and query, as in the request line or `:path`. */
export function deviceAddressOf(url: string): DeviceAddress {
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  if (disguised.test(path)) return { kind: 'unknown' };
  const found = device.exec(path)?.[1];
  if (found !== undefined) return token.test(found) ? { kind: 'device', token: found } : { kind: 'no-token' };
  return path === '/activate' || path.startsWith('/activate/') ? { kind: 'activation' } : { kind: 'unknown' };
}
