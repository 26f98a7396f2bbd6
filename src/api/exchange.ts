/**
 * One request to one service, and what comes of it: an answer, a failure that the service explains, or nobody who answers.
 *
 * Invariant: each exchange has an end. Whatever a service does not say in time is a failure that tells what is known.
 */
import * as z from 'zod';
import { type ErrorCode, isReceivedCode } from '../base/error-codes.ts';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import { jsonOrUndefined } from '../base/shallow-json.ts';
import type { Operation } from './operation.ts';

/** One administration service, and the token for it. */
export interface ServiceAccess {
  /** Without a slash at the end; empty in a browser that the service itself has sent the page to. */
  readonly url: string;
  /** Empty in a browser whose cookie says who asks. */
  readonly token: string;
  /** Whether it carries out a change once, however often that is sent with the same idempotency key. */
  readonly keepsKeys?: boolean;
}

/** A request as it is sent. */
export interface Asked {
  method: string;
  /** With its query. */
  path: string;
  body?: string | ReadableStream;
  headers?: Readonly<Record<string, string>>;
}

interface Exchange {
  readonly fetchIt: typeof fetch;
  /** Aborted with a `TimeoutError` when the service is waited for no longer. */
  readonly signal: AbortSignal;
  /** Says more about a failure that the service answered. */
  readonly explain?: ((error: AnsweredError, access: ServiceAccess) => Promise<AnsweredError>) | undefined;
}

/** A failure reported by the service. */
export class AnsweredError extends BrambleError {
  readonly status: number;
  /** Of the service. */
  readonly url: string;
  /** Method and path, such as `GET /accounts`. */
  readonly asked: string;
  /** After which the service wants to be asked again. */
  readonly retryAfterMs: number | undefined;

  constructor(
    answered: Pick<AnsweredError, 'status' | 'url' | 'asked'> & Partial<Pick<AnsweredError, 'retryAfterMs'>>,
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>>,
  ) {
    super(code, message, { details });
    this.status = answered.status;
    this.url = answered.url;
    this.asked = answered.asked;
    this.retryAfterMs = answered.retryAfterMs;
  }
}

export const keyHeader = 'idempotency-key';
const root = '/api/v1';

interface AnyRequest {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly revision?: number;
}

/** @param key of an attempt before, of which nobody knows what came of it; default: a new one */
export function askedOf(operation: Operation, request: unknown, key: string = crypto.randomUUID()): Asked {
  const { params = {}, query = {}, body, revision } = (request ?? {}) as AnyRequest;
  const path = operation.path.replace(/:(\w+)/g, (_all, key: string) => segment(String(params[key])));
  const asked = { method: operation.method, path: path + queryText(query) };
  const headers = {
    ...(isKept(operation) ? { [keyHeader]: key } : {}),
    ...(revision === undefined ? {} : { 'if-match': `"${revision}"` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  return body === undefined ? { ...asked, headers } : { ...asked, headers, body: JSON.stringify(body) };
}

/** Whether services keep a key of it: not of a stream, nor where it is about passwords or nobody is known to ask. */
function isKept({ method, consumes, takesPassword, right }: Operation): boolean {
  return method !== 'GET' && consumes === undefined && takesPassword !== true && right !== 'open';
}

/** A path segment. One that would climb the path gets a leading blank, which the service strips. */
function segment(text: string): string {
  return encodeURIComponent(text === '.' || text === '..' ? ` ${text}` : text);
}

/** `?a=1&b=2` of what is given; empty without anything. */
function queryText(query: Readonly<Record<string, unknown>>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (given.length === 0) return '';
  return `?${new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString()}`;
}

/** @throws AnsweredError, or BrambleError ERR_ADMIN_UNREACHABLE */
export async function exchange(
  access: ServiceAccess,
  asked: Asked,
  { fetchIt, signal, explain }: Exchange,
): Promise<Response> {
  try {
    const response = await fetchIt(`${access.url}${root}${asked.path}`, {
      method: asked.method,
      // No service answers so: whoever does would be sent what was asked, with its secrets.
      redirect: 'error',
      headers: { accept: 'application/json', ...authorizationBy(access), ...asked.headers },
      ...(asked.body === undefined ? {} : { body: asked.body }),
      ...(asked.body instanceof ReadableStream ? { duplex: 'half' } : {}),
      signal,
    } as RequestInit);
    if (response.ok) return response;
    const failure = await failureOf(response, access.url, asked);
    throw explain === undefined ? failure : await explain(failure, access);
  } catch (cause) {
    throw isBrambleError(cause) ? cause : unanswered(cause, access.url, asked.method);
  }
}

function authorizationBy({ token }: ServiceAccess): Record<string, string> {
  return token === '' ? {} : { authorization: `Bearer ${token}` };
}

/** @throws AnsweredError ERR_ADMIN_ANSWER for what is no JSON; BrambleError ERR_ADMIN_UNREACHABLE where it breaks off */
export async function jsonOf(response: Response, url: string, asked: Asked): Promise<unknown> {
  const text = await response.text().catch((cause: unknown) => {
    throw unanswered(cause, url, asked.method);
  });
  if (text === '') return null;
  const value = jsonOrUndefined(text);
  if (value === undefined) throw notOurs(response, url, asked);
  return value;
}

/** Whether nobody waited any longer. */
export function isLate(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'TimeoutError';
}

export function unanswered(cause: unknown, url: string, method: string): BrambleError {
  const who = url === '' ? 'The service' : url;
  const what = isLate(cause)
    ? `${who} ${messageOf(cause)}: it hangs, or has too much to do.`
    : `${who} closed the connection (${messageOf(cause)}).`;
  const remedy =
    method === 'GET'
      ? 'Try again; if that goes on, look at the log of the service, and restart it.'
      : 'It is unknown whether the request was carried out: check before you try again.';
  return new BrambleError('ERR_ADMIN_UNREACHABLE', `${what} ${remedy}`, { cause });
}

const errorShape = z.object({
  code: z.custom<ErrorCode>(isReceivedCode),
  message: z.string(),
  details: z.record(z.string(), z.unknown()).default({}),
});

async function failureOf(response: Response, url: string, asked: Asked): Promise<AnsweredError> {
  const parsed = errorShape.safeParse(jsonOrUndefined(await response.text()));
  if (!parsed.success) return notOurs(response, url, asked);
  const { code, message, details } = parsed.data;
  return new AnsweredError(answeredBy(response, url, asked), code, message, details);
}

function notOurs(response: Response, url: string, asked: Asked): AnsweredError {
  return new AnsweredError(
    answeredBy(response, url, asked),
    'ERR_ADMIN_ANSWER',
    `${url} answered ${response.status} without an explanation. It may not be a Bramble administration service.`,
    {},
  );
}

function answeredBy({ status, headers }: Response, url: string, { method, path }: Asked) {
  // Our services say it in seconds; a proxy before them may name a date, which is not waited for.
  const seconds = /^\d{1,6}$/.exec(headers.get('retry-after') ?? '')?.[0];
  const retryAfterMs = seconds === undefined ? undefined : Number(seconds) * 1000;
  return { status, url, asked: `${method} ${path.split('?')[0]}`, retryAfterMs };
}
