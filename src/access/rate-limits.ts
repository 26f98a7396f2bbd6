/**
 * How often somebody may ask. An administrator has a limit at each address that he asks from, so whoever has stolen his token
 * uses up another one; requests with a credential that nobody knows share one for each address, and cost an
 * administrator nothing whose credential was good before. Health checks and pages are not counted.
 *
 * Invariant: memory is bounded, whatever strangers send. A forgotten limit begins anew, which costs its holder nothing.
 */
import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { addressGroup } from '../base/address-group.ts';
import { BoundedMap } from '../base/bounded-map.ts';
import { BrambleError } from '../base/errors.ts';

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

/** What is asked for before and after it is known who asks. */
export function limitRates(rates: Rates) {
  const administrators = new Allowances(rates.administrator);
  const unknown = new Allowances(rates.unknown);
  /** Digests of credentials that were good lately; whether they still are is not asked here. */
  const known = new BoundedMap<string, true>(maxRemembered);

  return {
    /** Before the database is asked whose credential it is. @throws BrambleError ERR_RATE_LIMIT */
    countUnknown: (request: FastifyRequest): void => {
      if (!known.has(credentialOf(request))) refuse(unknown.take(addressGroup(request.ip)));
    },
    /** One that turned out to be no longer good. */
    forget: (request: FastifyRequest): void => known.delete(credentialOf(request)),
    /** @throws BrambleError ERR_RATE_LIMIT */
    countAdministrator: (request: FastifyRequest): void => {
      if (request.actor === null) return;
      known.set(credentialOf(request), true);
      const { kind, id } = request.actor;
      refuse(administrators.take(`${kind} ${id} ${addressGroup(request.ip)}`));
    },
  };
}

/** Of what anybody may ask for, an address has as much as of tries with unknown credentials. */
export function limitStrangers({ unknown }: Rates = defaultRates): (request: { readonly ip: string }) => void {
  const allowances = new Allowances(unknown);
  return ({ ip }) => refuse(allowances.take(addressGroup(ip)));
}

function refuse(seconds: number): void {
  if (seconds === 0) return;
  throw new BrambleError('ERR_RATE_LIMIT', `Too many requests. Come again in ${seconds} s; nothing was changed.`, {
    details: { retryAfterSeconds: seconds },
  });
}

function credentialOf({ headers }: FastifyRequest): string {
  const text = headers.authorization ?? headers.cookie ?? '';
  return createHash('sha256').update(text).digest('base64');
}
