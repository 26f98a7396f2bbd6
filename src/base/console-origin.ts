/**
 * The console's origin: which requests came to it, and under which names a browser may have reached it.
 *
 * Invariant: a page of another site that had its own name resolve to this host (DNS rebinding) never has one of these names. An
 * address is one, as nobody can have it resolve to something else.
 */
import { isIP } from 'node:net';
import { isLoopback } from './loopback.ts';

export interface ConsoleOrigin {
  readonly scheme: 'http' | 'https';
  /** Host names beside `localhost` and addresses. */
  readonly names: readonly string[];
}

interface Arrival {
  readonly origin: ConsoleOrigin;
  /** Called when it turns out that an administrator, or a program of one, sent the request. */
  readonly onKnown: () => void;
}

const arrivals = new WeakMap<object, Arrival>();

/** @param request as Node.js has it */
export function markArrival(request: object, arrival: Arrival): void {
  arrivals.set(request, arrival);
}

/** Undefined for requests that came to another listener. */
export function arrivedAt(request: object): ConsoleOrigin | undefined {
  return arrivals.get(request)?.origin;
}

export function noteKnown(request: object): void {
  arrivals.get(request)?.onKnown();
}

/** @param host of a Host header: a name or an address, perhaps with a port */
export function isOwnName(host: string | undefined, { names }: Pick<ConsoleOrigin, 'names'>): boolean {
  const hostname = host === undefined ? undefined : hostnameOf(host);
  if (hostname === undefined) return false;
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  return bare === 'localhost' || isIP(bare) !== 0 || names.includes(bare);
}

/** Where a browser finds it. Passkeys take a name, and the addresses that mean every one of the host are none to go to. */
export function originAt(
  { scheme, names }: ConsoleOrigin,
  { address, port }: { address: string; port: number },
): string {
  const isHere = isLoopback(address) || address === '0.0.0.0' || address === '::';
  const host = names[0] ?? (isHere ? 'localhost' : address);
  return `${scheme}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/** Any port: a forwarded one is another than the own one. */
function hostnameOf(host: string): string | undefined {
  return /^[^/?#@\\\s]+$/.test(host) && URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : undefined;
}
