/**
 * How often somebody may ask. An administrator has a limit at each address that he asks from, so whoever has stolen his token
 * uses up another one. Strangers of an address share one for credentials that nobody knows, and one for what anybody may ask
 * for, such as signing in; neither costs him anything whose credential was good before, or whose browser is known. Health
 * checks and pages are not counted.
 *
 * Invariant: memory is bounded, whatever strangers send. A forgotten limit begins anew, which costs its holder nothing.
 */
import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { addressGroup } from '../base/address-group.ts';
import { BoundedMap } from '../base/bounded-map.ts';
import { BrambleError } from '../base/errors.ts';
import type { Cookies } from './sign-in/cookies.ts';

interface Rate {
  /** At once, after a rest. */
  readonly burst: number;
  readonly perSecond: number;
}

export interface Rates {
  readonly administrator: Rate;
  readonly unknown: Rate;
}

export const defaultRates: Rates = {
  administrator: { burst: 2000, perSecond: 400 },
  unknown: { burst: 100, perSecond: 10 },
};

const maxRemembered = 10_000;

/** Requests that each key has left. */
export class Allowances {
  readonly #left = new BoundedMap<string, { requests: number; atMs: number }>(maxRemembered);
  readonly #rate: Rate;
  readonly #nowMs: () => number;

  constructor(rate: Rate, nowMs: () => number = () => performance.now()) {
    this.#rate = rate;
    this.#nowMs = nowMs;
  }

  /** 0, or in how many seconds there will be one. */
  take(key: string): number {
    const { burst, perSecond } = this.#rate;
    const now = this.#nowMs();
    const { requests, atMs } = this.#left.get(key) ?? { requests: burst, atMs: now };
    const left = Math.min(burst, requests + ((now - atMs) * perSecond) / 1000);
    this.#left.set(key, { requests: left < 1 ? left : left - 1, atMs: now });
    return left < 1 ? Math.ceil((1 - left) / perSecond) : 0;
  }
}

/** Tokens, sessions and browsers that were good lately, by digest; whether they still are is not asked here. */
export class KnownCredentials {
  readonly #digests = new BoundedMap<string, true>(maxRemembered);

  note(...credentials: readonly string[]): void {
    for (const credential of credentials) this.#digests.set(digestOf(credential), true);
  }

  forget(credential: string): void {
    this.#digests.delete(digestOf(credential));
  }

  has(credential: string): boolean {
    return this.#digests.has(digestOf(credential));
  }
}

/** What is asked for before and after it is known who asks. */
export function limitRates(rates: Rates, { cookies, known }: { cookies: Cookies; known: KnownCredentials }) {
  const administrators = new Allowances(rates.administrator);
  const unknown = new Allowances(rates.unknown);
  const open = new Allowances(rates.unknown);
  /** Other programs' cookies come along with those of a host. */
  const credentialOf = (request: FastifyRequest) =>
    request.headers.authorization ?? cookies.read(request, 'session') ?? '';

  return {
    /** Before the database is asked whose credential it is. @throws BrambleError ERR_RATE_LIMIT */
    countUnknown: (request: FastifyRequest): void => {
      if (!known.has(credentialOf(request))) refuse(unknown.take(addressGroup(request.ip)));
    },
    /** What anybody may ask for. @throws BrambleError ERR_RATE_LIMIT */
    countOpen: (request: FastifyRequest): void => {
      const own = [credentialOf(request), cookies.read(request, 'browser') ?? ''].find((one) => known.has(one));
      refuse(open.take(own === undefined ? addressGroup(request.ip) : digestOf(own)));
    },
    /** One that turned out to be no longer good. */
    forget: (request: FastifyRequest): void => known.forget(credentialOf(request)),
    /** @throws BrambleError ERR_RATE_LIMIT */
    countAdministrator: (request: FastifyRequest): void => {
      if (request.actor === null) return;
      known.note(credentialOf(request));
      const { kind, id } = request.actor;
      refuse(administrators.take(`${kind} ${id} ${addressGroup(request.ip)}`));
    },
  };
}

function refuse(seconds: number): void {
  if (seconds === 0) return;
  throw new BrambleError('ERR_RATE_LIMIT', `Too many requests. Come again in ${seconds} s; nothing was changed.`, {
    details: { retryAfterSeconds: seconds },
  });
}

function digestOf(credential: string): string {
  return createHash('sha256').update(credential).digest('base64');
}
