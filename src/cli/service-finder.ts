/**
 * Which administration service `bramble` asks. All addresses are asked for /healthz at once and the first that answers
 * is used: a stopped or frozen service is skipped, and a slow but live one is waited for.
 */
import { type ClientOptions, keepsKeys } from '../api/client.ts';
import { isLate, type ServiceAccess } from '../api/exchange.ts';
import { BrambleError } from '../base/errors.ts';
import type { AdministrationAccess } from './administration-access.ts';

/** A service under load answers late; one that is gone refuses at once. */
const probeMs = 30_000;
/** How long a person waits without a message. */
const quietMs = 2000;

/** Remembers the one found. `onWaiting` is told once when no service has answered for two seconds. */
export function serviceFinder(
  access: AdministrationAccess,
  onWaiting: (text: string) => void = () => undefined,
): ClientOptions['choose'] {
  const { token } = access;
  let chosen: FoundService | undefined;
  return async (passOver) => {
    if (chosen !== undefined && !passOver.has(chosen.url)) return { ...chosen, token };
    const urls = access.urls.filter((url) => !passOver.has(url));
    const found = await firstAnswering(urls, () =>
      onWaiting(`Waiting for an administration service at ${urls.join(', ')} …`),
    );
    if (found.service === undefined) throw noneFound(access, found);
    chosen = found.service;
    return { ...chosen, token };
  };
}

type FoundService = Omit<ServiceAccess, 'token'>;

function noneFound(access: AdministrationAccess, { other, isSilent }: Omit<Found, 'service'>): BrambleError {
  return other === undefined
    ? new BrambleError(
        'ERR_ADMIN_UNREACHABLE',
        isSilent === true
          ? `${access.urls.join(', ')} did not answer within ${probeMs / 1000} s: the service there hangs, has too much to do, or is ` +
              'cut off. Look at the logs in BRAMBLE_HOME/logs and restart it, or give the address of another with --url.'
          : `No administration service answers at ${access.urls.join(', ')}. Look at \`bramble component list\` or the ` +
              'logs in BRAMBLE_HOME/logs; start one with `bramble up`, or give the address of another with --url.',
      )
    : new BrambleError(
        'ERR_ADMIN_ANSWER',
        other instanceof Untrusted
          ? `${other.url} has a certificate that is not trusted here: name its authority with --url-ca (BRAMBLE_URL_CA), or correct the ` +
              'address: the port that devices connect to is another.'
          : `${other.url} ${other.reason}, but not like a Bramble administration service. Give its address with --url: ` +
              'its port is not the one that devices connect to.',
      );
}

interface Found {
  /** The first live administration service. */
  readonly service?: FoundService;
  /** Without one, another live service. */
  readonly other?: SomethingElse;
  /** Without either, whether something was waited for. */
  readonly isSilent?: boolean;
}

async function firstAnswering(urls: readonly string[], onQuiet: () => void): Promise<Found> {
  const settled = new AbortController();
  const quiet = setTimeout(onQuiet, quietMs);
  const signal = AbortSignal.any([settled.signal, AbortSignal.timeout(probeMs)]);
  try {
    return { service: await Promise.any(urls.map((url) => probe(url, signal))) };
  } catch (error) {
    const reasons: unknown[] = error instanceof AggregateError ? error.errors : [];
    const other = reasons.find((reason) => reason instanceof SomethingElse);
    return other === undefined ? { isSilent: reasons.some(isLate) } : { other };
  } finally {
    clearTimeout(quiet);
    settled.abort();
  }
}

class SomethingElse extends Error {
  readonly url: string;
  readonly reason: string;

  constructor(url: string, reason: string) {
    super(reason);
    this.url = url;
    this.reason = reason;
  }
}

class Untrusted extends SomethingElse {}

async function probe(url: string, signal: AbortSignal): Promise<FoundService> {
  const response = await fetch(`${url}/healthz`, { signal, redirect: 'error' }).catch((error: unknown) => {
    throw tlsReason(error) ? new Untrusted(url, 'has a certificate that is not trusted here') : error;
  });
  await response.arrayBuffer();
  if (response.ok) return { url, keepsKeys: keepsKeys(response.headers) };
  throw response.status >= 500 ? new Error(`${response.status}`) : new SomethingElse(url, `answers ${response.status}`);
}

function tlsReason(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return /CERT|SIGN|_TLS_|_SSL_/.test(code);
}
