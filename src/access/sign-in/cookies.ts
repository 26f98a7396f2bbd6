/**
 * The cookies of sign-in. Cookies know no port, so their names carry the domain's id: two domains on one machine do not sign
 * each other out. `__Host-` keeps them to one host, to TLS or loopback, and from being set by anybody else.
 */
import type { FastifyReply } from 'fastify';
import type { Asking } from './own-pages.ts';

type CookieKind = 'session' | 'browser' | 'step';

/** How long a browser keeps each; a session's ends on the server, and with the browser. */
const lifetime: Readonly<Record<CookieKind, { sameSite: 'Strict' | 'Lax'; seconds: number | null }>> = {
  session: { sameSite: 'Strict', seconds: null },
  /** That somebody has signed in here before. */
  browser: { sameSite: 'Strict', seconds: 180 * 24 * 3600 },
  /** A sign-in of several steps; comes back from another site, with OpenID. */
  step: { sameSite: 'Lax', seconds: 600 },
};

export interface Cookies {
  nameOf(kind: CookieKind): string;
  read(request: Asking, kind: CookieKind): string | undefined;
  set(reply: FastifyReply, kind: CookieKind, value: string): void;
  clear(reply: FastifyReply, kind: CookieKind): void;
}

export function cookiesOf(domainId: string): Cookies {
  const nameOf = (kind: CookieKind) => `__Host-bramble-${domainId.slice(0, 8)}-${kind}`;
  const write = (reply: FastifyReply, kind: CookieKind, value: string, seconds: number | null) => {
    const age = seconds === null ? '' : `; Max-Age=${seconds}`;
    const text = `${nameOf(kind)}=${value}; Path=/; Secure; HttpOnly; SameSite=${lifetime[kind].sameSite}${age}`;
    reply.header('set-cookie', text);
  };
  return {
    nameOf,
    read: (request, kind) => cookieValue(request.headers.cookie, nameOf(kind)),
    set: (reply, kind, value) => write(reply, kind, value, lifetime[kind].seconds),
    clear: (reply, kind) => write(reply, kind, '', 0),
  };
}

/** Undefined for what is not there, or not of the form that was set. */
function cookieValue(header: string | undefined, name: string): string | undefined {
  for (const part of (header ?? '').split(';')) {
    const [key, value] = part.trim().split('=', 2);
    if (key === name && value !== undefined && /^[\w-]{43}$/.test(value)) return value;
  }
  return undefined;
}
