/**
 * Asks an OpenID provider. Invariant: an answer has its time and its size, whatever the other side does; nothing is asked
 * without TLS; a redirect is not followed, since the issuer is what an administrator has chosen.
 */
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { BrambleError, isBrambleError, messageOf } from '../../base/errors.ts';
import { lookupBy, type NameAddress } from '../../base/name-lookups.ts';

interface Asking {
  /** Trusted instead of the system's. */
  readonly caPem: string | null;
  readonly find: (name: string, signal: AbortSignal) => Promise<readonly NameAddress[]>;
  readonly timeoutMs?: number;
}

/** Of a fetch, what is used here. */
interface Asked {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

const defaultTimeoutMs = 10_000;
/** Documents and lists of keys are some kilobytes. */
const maxBytes = 256 * 1024;

/** @throws BrambleError ERR_OPENID_PROVIDER */
export function providerFetch({ caPem, find, timeoutMs = defaultTimeoutMs }: Asking) {
  return async (url: string, { method, headers, body, signal }: Asked): Promise<Response> => {
    const { protocol, host, origin } = new URL(url);
    if (protocol !== 'https:') throw unusable(`The provider names an address without TLS: ${origin}.`);
    const deadline = AbortSignal.timeout(timeoutMs);
    const ended = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
    try {
      const asked = request(url, {
        ...{ method, headers, agent: false, signal: ended, lookup: lookupBy((name) => find(name, ended)) },
        ...(caPem === null ? {} : { ca: caPem }),
      });
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        asked.on('response', resolve).on('error', reject);
        asked.end(body === undefined || body === null ? undefined : String(body));
      });
      const bytes = await wholeOf(answer, host).finally(() => asked.destroy());
      const { statusCode = 500 } = answer;
      const isEmpty = statusCode === 204 || statusCode === 304;
      return new Response(isEmpty ? null : bytes, { status: statusCode, headers: headersOf(answer) });
    } catch (cause) {
      if (isBrambleError(cause)) throw cause;
      const why = deadline.aborted ? `no answer within ${timeoutMs / 1000} seconds` : messageOf(cause);
      throw unusable(`The OpenID provider at ${host} cannot be asked: ${why}.`, cause);
    }
  };
}

async function wholeOf(answer: IncomingMessage, host: string): Promise<Buffer<ArrayBuffer>> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    pieces.push(piece);
    length += piece.length;
    if (length > maxBytes) throw unusable(`The OpenID provider at ${host} answers with more than ${maxBytes} bytes.`);
  }
  return Buffer.concat(pieces);
}

function headersOf({ headers }: IncomingMessage): Headers {
  const pairs = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
  return new Headers(pairs);
}

function unusable(message: string, cause?: unknown): BrambleError {
  return new BrambleError('ERR_OPENID_PROVIDER', message, { cause });
}
