/**
 * Requests to an administration service. Of several addresses the first one that answers /healthz is taken, so that a
 * stopped or frozen service is passed over; a change that may have been carried out is never sent again.
 */
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { BrambleError, type ErrorCode, isBrambleError, messageOf } from '../base/errors.ts';
import type { AdministrationAccess } from './administration-access.ts';

export interface RestClient {
  /** Path below /api/v1. @throws RestError with the service's code, or BrambleError ERR_ADMIN_UNREACHABLE. */
  send(method: string, path: string, body?: unknown): Promise<unknown>;
  /** Streams a body, without a deadline. */
  stream(path: string, contentType: string, body: Readable): Promise<unknown>;
}

/** A failure that the service answered. */
export class RestError extends BrambleError {
  readonly status: number;

  constructor(status: number, code: ErrorCode, message: string, details: Readonly<Record<string, unknown>>) {
    super(code, message, { details });
    this.status = status;
  }
}

const probeMs = 2000;
const requestMs = 60_000;
const errorShape = z.object({
  code: z.templateLiteral(['ERR_', z.string()]),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).default({}),
});

export function createRestClient(access: AdministrationAccess): RestClient {
  let chosen: string | undefined;

  async function address(passOver: ReadonlySet<string>): Promise<string> {
    if (chosen !== undefined && !passOver.has(chosen)) return chosen;
    for (const url of access.urls) {
      if (!passOver.has(url) && (await answers(url))) {
        chosen = url;
        return url;
      }
    }
    throw new BrambleError(
      'ERR_ADMIN_UNREACHABLE',
      `No administration service answers at ${access.urls.join(', ')}. Look at \`bramble component list\` or the logs in ` +
        'BRAMBLE_HOME/logs; start one with `bramble up`, or name another with --url.',
    );
  }

  async function request(url: string, path: string, init: RequestInit): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(`${url}/api/v1${path}`, {
        ...init,
        headers: { ...init.headers, authorization: `Bearer ${access.token}`, accept: 'application/json' },
      });
    } catch (cause) {
      const late = cause instanceof Error && cause.name === 'TimeoutError';
      throw new BrambleError(
        'ERR_ADMIN_UNREACHABLE',
        `${url} ${late ? 'did not answer in time' : `broke off (${messageOf(cause)})`}. Whether it was carried out is not ` +
          'known: look before you try again.',
        { cause },
      );
    }
    return await answerOf(response, url);
  }

  return {
    send: async (method, path, body) => {
      const passOver = new Set<string>();
      for (;;) {
        const url = await address(passOver);
        try {
          return await request(url, path, {
            method,
            signal: AbortSignal.timeout(requestMs),
            ...(body === undefined
              ? {}
              : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
          });
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
    },
    stream: async (path, contentType, body) => {
      const url = await address(new Set());
      const init = { method: 'POST', body, duplex: 'half', headers: { 'content-type': contentType } };
      return await request(url, path, init as unknown as RequestInit);
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(probeMs) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
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
