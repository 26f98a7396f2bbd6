/**
 * Requests to an administration service. All addresses are asked for /healthz at once and the first that answers is taken:
 * a stopped or frozen service is passed over, and one that is alive but slow is waited for. A change that may have been
 * carried out is never sent again.
 */
import { Readable } from 'node:stream';
import * as z from 'zod';
import { type ErrorCode, isReceivedCode } from '../base/error-codes.ts';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import { thisRelease } from '../release/this-release.ts';
import type { AdministrationAccess } from './administration-access.ts';

export interface RestClient {
  /** Path below /api/v1. @throws RestError with the service's code, or BrambleError ERR_ADMIN_UNREACHABLE. */
  send(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Streams a body, without a deadline. */
  stream(path: string, contentType: string, body: Readable): Promise<unknown>;
  /** The bytes of an answer as they come, without a deadline. */
  download(path: string): Promise<Readable>;
}

/** A failure that the service answered. */
export class RestError extends BrambleError {
  readonly status: number;

  constructor(status: number, code: ErrorCode, message: string, details: Readonly<Record<string, unknown>>) {
    super(code, message, { details });
    this.status = status;
  }
}

/** A service under load answers late; one that is gone refuses at once. */
const probeMs = 30_000;
/** So long a person is left without a word. */
const quietMs = 2000;
const requestMs = 60_000;
const descriptionShape = z.object({ info: z.object({ version: z.string() }) });
const errorShape = z.object({
  code: z.custom<ErrorCode>(isReceivedCode),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).default({}),
});

/** `onWaiting` is told once when no service has answered for two seconds. */
export function createRestClient(
  access: AdministrationAccess,
  onWaiting: (text: string) => void = () => undefined,
): RestClient {
  let chosen: string | undefined;

  async function address(passOver: ReadonlySet<string>): Promise<string> {
    if (chosen !== undefined && !passOver.has(chosen)) return chosen;
    const urls = access.urls.filter((url) => !passOver.has(url));
    const found = await firstAnswering(urls, () =>
      onWaiting(`Waiting for an administration service at ${urls.join(', ')} …`),
    );
    if (found.url !== undefined) {
      chosen = found.url;
      return found.url;
    }
    if (found.other !== undefined) {
      throw new BrambleError(
        'ERR_ADMIN_ANSWER',
        `${found.other.url} ${found.other.reason}, but not as an administration service of Bramble does. Name one with --url: ` +
          'its port is not the one that devices connect to.',
      );
    }
    throw new BrambleError(
      'ERR_ADMIN_UNREACHABLE',
      `No administration service answers at ${access.urls.join(', ')}. Look at \`bramble component list\` or the logs in ` +
        'BRAMBLE_HOME/logs; start one with `bramble up`, or name another with --url.',
    );
  }

  async function fetched(url: string, path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(`${url}/api/v1${path}`, {
        ...init,
        headers: { ...init.headers, authorization: `Bearer ${access.token}`, accept: 'application/json' },
      });
    } catch (cause) {
      const late = cause instanceof Error && cause.name === 'TimeoutError';
      throw new BrambleError(
        'ERR_ADMIN_UNREACHABLE',
        `${url} ${late ? 'did not answer in time' : `broke off (${messageOf(cause)})`}.` +
          (init.method === undefined || init.method === 'GET'
            ? ''
            : ' Whether it was carried out is not known: look before you try again.'),
        { cause },
      );
    }
  }

  async function request(url: string, path: string, init: RequestInit): Promise<unknown> {
    return await answered(await fetched(url, path, init), url, path, init.method ?? 'GET');
  }

  async function answered(response: Response, url: string, path: string, method: string): Promise<unknown> {
    try {
      return await answerOf(response, url);
    } catch (error) {
      throw isNoOperation(error) ? await notInItsRelease(error, url, `${method} ${path.split('?')[0]}`) : error;
    }
  }

  /** During an upgrade, and after it was reversed, a service of the release before may be the one that answers. */
  async function notInItsRelease(error: RestError, url: string, operation: string): Promise<RestError> {
    const description = await fetched(url, '/openapi.json', { signal: AbortSignal.timeout(requestMs) })
      .then(async (response) => descriptionShape.parse(await response.json()))
      .catch(() => undefined);
    const release = description?.info.version;
    if (release === undefined || release === thisRelease.release) return error;
    const message =
      `The administration service at ${url} is of ${release}, which has no ${operation}; this \`bramble\` is of ` +
      `${thisRelease.release}. Use the \`bramble\` of ${release}, or try again once the domain runs ${thisRelease.release}: ` +
      '`bramble status` shows its release.';
    return new RestError(error.status, error.code, message, { ...error.details, release });
  }

  /** Asks one service after the other where the one before can only have done nothing. */
  async function asked<Answer>(method: string, ask: (url: string) => Promise<Answer>): Promise<Answer> {
    const passOver = new Set<string>();
    for (;;) {
      const url = await address(passOver);
      try {
        return await ask(url);
      } catch (error) {
        // A fenced service wrote nothing, and a question that broke off can be asked again: another service, of the
        // domain's release, may be there.
        const code = isBrambleError(error) ? error.code : '';
        const again = code === 'ERR_RELEASE_FENCED' || (method === 'GET' && code === 'ERR_ADMIN_UNREACHABLE');
        if (!again) throw error;
        passOver.add(url);
        const another = await address(passOver).catch(() => undefined);
        if (another === undefined) throw error;
      }
    }
  }

  const send: RestClient['send'] = async (method, path, body) =>
    await asked(method, (url) =>
      request(url, path, {
        method,
        signal: AbortSignal.timeout(requestMs),
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      }),
    );

  return {
    send,
    stream: async (path, contentType, body) => {
      // A stream can be sent once: a small question finds the service that takes it, rather than a coordinator.
      await send('GET', '/budget');
      const url = await address(new Set());
      const init = { method: 'POST', body, duplex: 'half', headers: { 'content-type': contentType } };
      return await request(url, path, init as unknown as RequestInit);
    },
    download: async (path) =>
      await asked('GET', async (url) => {
        const response = await fetched(url, path, {});
        if (!response.ok || response.body === null) await answered(response, url, path, 'GET');
        return Readable.fromWeb(response.body as ReadableStream);
      }),
  };
}

/** The first that is alive; otherwise one that is alive and something else, if there is one. */
async function firstAnswering(
  urls: readonly string[],
  onQuiet: () => void,
): Promise<{ url?: string; other?: SomethingElse }> {
  const settled = new AbortController();
  const quiet = setTimeout(onQuiet, quietMs);
  const signal = AbortSignal.any([settled.signal, AbortSignal.timeout(probeMs)]);
  try {
    return { url: await Promise.any(urls.map((url) => probe(url, signal))) };
  } catch (error) {
    const reasons: unknown[] = error instanceof AggregateError ? error.errors : [];
    const other = reasons.find((reason) => reason instanceof SomethingElse);
    return other === undefined ? {} : { other };
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

async function probe(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(`${url}/healthz`, { signal }).catch((error: unknown) => {
    throw tlsReason(error) ? new SomethingElse(url, 'speaks TLS with a certificate that is not trusted here') : error;
  });
  await response.arrayBuffer();
  if (response.ok) return url;
  throw response.status >= 500 ? new Error(`${response.status}`) : new SomethingElse(url, `answers ${response.status}`);
}

function tlsReason(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return /CERT|SIGNED|_TLS_|_SSL_/.test(code);
}

/** An operation that is not there, rather than a thing. */
function isNoOperation(error: unknown): error is RestError {
  return error instanceof RestError && error.status === 404 && error.message.startsWith('There is nothing at ');
}

async function answerOf(response: Response, url: string): Promise<unknown> {
  const text = await response.text();
  if (response.ok) return text === '' ? null : JSON.parse(text);
  const parsed = errorShape.safeParse(parseJson(text));
  if (parsed.success) {
    const { code, message, details } = parsed.data;
    throw new RestError(response.status, code, message, details);
  }
  throw new RestError(
    response.status,
    'ERR_ADMIN_ANSWER',
    `${url} answered ${response.status} without saying why. It may not be an administration service of Bramble.`,
    {},
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
