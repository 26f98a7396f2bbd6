/**
 * Client of an administration service, based only on `fetch`, so that programs and browsers share it. Requests and
 * answers are typed by the operations' shapes. Invariant: a change that may have been carried out is never resent, unless
 * the services keep its idempotency key, or the caller declares all of its changes repeatable.
 */
import * as z from 'zod';
import { type ErrorCode, isReceivedCode } from '../base/error-codes.ts';
import { BrambleError, isBrambleError, messageOf } from '../base/errors.ts';
import { jsonOrUndefined } from '../base/shallow-json.ts';
import { deliveryOperations } from './deliveries.ts';
import { readStream, type StreamMessage } from './event-stream.ts';
import type { AnswerOf, Operation, RequestOf } from './operation.ts';

/** One administration service, and the token for it. */
export interface ServiceAccess {
  /** Without a slash at the end; empty in a browser that the service itself has sent the page to. */
  readonly url: string;
  /** Empty in a browser whose cookie says who asks. */
  readonly token: string;
  /** Whether it carries out a change once, however often that is sent with the same idempotency key. */
  readonly keepsKeys?: boolean;
}

export interface ClientOptions {
  /**
   * Which service to ask, other than those to skip.
   * @throws BrambleError ERR_ADMIN_UNREACHABLE if there is none (left)
   */
  choose(passOver: ReadonlySet<string>): Promise<ServiceAccess>;
  fetch?: typeof fetch;
  /** For an answer that is not a stream; default one minute. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Whether changes may be resent to another service after an interrupted request. Default false. */
  repeatable?: boolean;
  /** Says more about a failure that a service answered. */
  explain?: (error: AnsweredError, access: ServiceAccess) => Promise<AnsweredError>;
}

export interface AdministrationClient {
  /** @throws AnsweredError with the service's code, or BrambleError ERR_ADMIN_UNREACHABLE, ERR_ADMIN_ANSWER. */
  call<Op extends Operation>(operation: Op, request: RequestOf<Op>): Promise<AnswerOf<Op>>;
  /** The same with the raw answer, including what only the service's release knows. {@link readAnswer} reads it. */
  send<Op extends Operation>(operation: Op, request: RequestOf<Op>): Promise<unknown>;
  /** Sends a stream, without a deadline. */
  upload<Op extends Operation & { consumes: string }>(operation: Op, body: ReadableStream): Promise<AnswerOf<Op>>;
  /** The bytes of an answer as they arrive, without a deadline. */
  download<Op extends Operation & { produces: string }>(
    operation: Op,
    request: RequestOf<Op>,
  ): Promise<ReadableStream<Uint8Array>>;
  /**
   * What an operation tells live, until the service ends or falls silent.
   * @param after the id of the last message that was received, to go on behind it
   * @throws BrambleError ERR_ADMIN_ANSWER from a service whose release does not stream
   */
  follow<Op extends Operation & { stream: string }>(
    operation: Op,
    request: RequestOf<Op>,
    after: string | null,
  ): Promise<AsyncIterable<StreamMessage>>;
}

/** A failure reported by the service. */
export class AnsweredError extends BrambleError {
  readonly status: number;
  /** Of the service. */
  readonly url: string;
  /** Method and path, such as `GET /accounts`. */
  readonly asked: string;

  constructor(
    answered: Pick<AnsweredError, 'status' | 'url' | 'asked'>,
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>>,
  ) {
    super(code, message, { details });
    this.status = answered.status;
    this.url = answered.url;
    this.asked = answered.asked;
  }
}

/** In an answer: what a service does that releases before 1.5 did not, such as `idempotency-key`. */
export const abilitiesHeader = 'bramble-abilities';
const keyHeader = 'idempotency-key';

export function keepsKeys(headers: Headers): boolean {
  return (headers.get(abilitiesHeader) ?? '').split(/, ?/).includes(keyHeader);
}

const defaultTimeoutMs = 60_000;
const root = '/api/v1';
/** A request that every service answers with few bytes. */
const smallQuestion = askedOf(deliveryOperations.showBudget, {});

export function createAdministrationClient(options: ClientOptions): AdministrationClient {
  const { choose, timeoutMs = defaultTimeoutMs, repeatable = false } = options;
  const fetchIt = options.fetch ?? fetch;

  async function exchange(access: ServiceAccess, asked: Asked, limitMs?: number): Promise<Response> {
    const limits = [options.signal, limitMs === undefined ? undefined : AbortSignal.timeout(limitMs)];
    const signals = limits.filter((signal) => signal !== undefined);
    try {
      const response = await fetchIt(`${access.url}${root}${asked.path}`, {
        method: asked.method,
        // No service answers so: whoever does would be sent what was asked, with its secrets.
        redirect: 'error',
        headers: { accept: 'application/json', ...authorizationBy(access), ...asked.headers },
        ...(asked.body === undefined ? {} : { body: asked.body }),
        ...(asked.body instanceof ReadableStream ? { duplex: 'half' } : {}),
        ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) }),
      } as RequestInit);
      if (response.ok) return response;
      const failure = await failureOf(response, access.url, asked);
      throw options.explain === undefined ? failure : await options.explain(failure, access);
    } catch (cause) {
      throw isBrambleError(cause) ? cause : unanswered(cause, access.url, asked.method);
    }
  }

  /** Asks one service after another, as long as the previous one cannot have done anything, or the next one would know. */
  async function ask<Answer>(
    { method, headers }: Pick<Asked, 'method' | 'headers'>,
    work: (access: ServiceAccess) => Promise<Answer>,
  ): Promise<Answer> {
    const passOver = new Set<string>();
    const askedTwice = new Set<string>();
    const isKeyed = headers?.[keyHeader] !== undefined;
    let failure: unknown;
    let mayBeDone = false;
    for (;;) {
      const access = await choose(passOver).catch((error: unknown) => {
        throw failure ?? error;
      });
      if (mayBeDone && access.keepsKeys !== true) throw failure;
      try {
        return await work(access);
      } catch (error) {
        options.signal?.throwIfAborted();
        // A fenced service wrote nothing, and an interrupted read can be repeated: another service, of the domain's
        // release, may be there.
        const fenced = isBrambleError(error, 'ERR_RELEASE_FENCED');
        const lost = isBrambleError(error, 'ERR_ADMIN_UNREACHABLE');
        const isHarmless = repeatable || method === 'GET';
        const isKept = isKeyed && access.keepsKeys === true;
        if (!fenced && !(lost && (isHarmless || isKept))) throw error;
        mayBeDone ||= lost && !isHarmless;
        // An answered failure says more than that nobody answers, unless the silent one may have done it.
        if (failure === undefined || (fenced && !mayBeDone)) failure = error;
        const isOnceMore = lost && isKept && !isLate(error.cause) && !askedTwice.has(access.url);
        (isOnceMore ? askedTwice : passOver).add(access.url);
      }
    }
  }

  const send: AdministrationClient['send'] = async (operation, request) => {
    const asked = askedOf(operation, request);
    return await ask(
      asked,
      async (access) => await jsonOf(await exchange(access, asked, timeoutMs), access.url, asked),
    );
  };

  return {
    send,
    call: async (operation, request) => readAnswer(operation, await send(operation, request)),
    upload: async (operation, body) => {
      // A stream can be sent only once: a small request first finds a service that accepts it, rather than a
      // coordinator.
      const access = await ask(smallQuestion, async (candidate) => {
        await (await exchange(candidate, smallQuestion, timeoutMs)).arrayBuffer();
        return candidate;
      });
      const asked = { ...askedOf(operation, undefined), body, headers: { 'content-type': operation.consumes } };
      return readAnswer(operation, await jsonOf(await exchange(access, asked), access.url, asked));
    },
    download: async (operation, request) => {
      const asked = askedOf(operation, request);
      const response = await ask(asked, async (access) => await exchange(access, asked));
      return bodyOf(response);
    },
    follow: async (operation, request, after) => {
      const resumed: Record<string, string> = after === null ? {} : { 'last-event-id': after };
      const asked = { ...askedOf(operation, request), headers: { accept: operation.stream, ...resumed } };
      return await ask(asked, async (access) => {
        const response = await exchange(access, asked);
        if (response.headers.get('content-type')?.startsWith(operation.stream) === true) {
          return readStream(untilSilent(bodyOf(response)));
        }
        await response.body?.cancel();
        throw new BrambleError(
          'ERR_ADMIN_ANSWER',
          `${access.url} tells nothing live: its release is older. Ask again once the domain is upgraded.`,
        );
      });
    },
  };
}

function bodyOf({ body }: Response): ReadableStream<Uint8Array> {
  return body ?? new ReadableStream({ start: (controller) => controller.close() });
}

/** A service gives a sign of life every 15 s; one that does not is frozen, or unreachable without anybody saying so. */
const silenceMs = 45_000;

/** Ends where nothing comes any more, and where the connection is lost. */
async function* untilSilent(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      const silence = new Promise<undefined>((resolve) => {
        timer = setTimeout(resolve, silenceMs, undefined);
      });
      const read = await Promise.race([reader.read().catch(() => undefined), silence]);
      clearTimeout(timer);
      if (read?.value === undefined) return;
      yield read.value;
    }
  } finally {
    clearTimeout(timer);
    await reader.cancel().catch(() => {});
  }
}

/**
 * The answer of an operation, parsed by its shape.
 * @throws BrambleError ERR_ADMIN_ANSWER for one that lacks what this release needs
 */
export function readAnswer<Op extends Operation>(operation: Op, answer: unknown): AnswerOf<Op> {
  const parsed = operation.answer.safeParse(answer);
  if (parsed.success) return parsed.data as AnswerOf<Op>;
  const [issue] = parsed.error.issues;
  // A refusal never gets here.
  const done = operation.method === 'GET' ? '' : ' The request was carried out; only its answer could not be read.';
  throw new BrambleError(
    'ERR_ADMIN_ANSWER',
    `The answer to ${operation.method} ${operation.path} is invalid (${issue?.path.join('.') || 'all of it'}: ` +
      `${issue?.message ?? 'unknown'}). Use the \`bramble\` of the release that answered.${done}`,
  );
}

/** Tries a list of addresses in order. */
export function chooseInOrder(
  find: () => Promise<{ readonly urls: readonly string[]; readonly token: string }>,
): ClientOptions['choose'] {
  return async (passOver) => {
    const { urls, token } = await find();
    const url = urls.map((given) => given.replace(/\/+$/, '')).find((candidate) => !passOver.has(candidate));
    if (url !== undefined) return { url, token };
    throw new BrambleError(
      'ERR_ADMIN_UNREACHABLE',
      `No administration service answers at ${urls.join(', ') || 'any address that is known'}. Is it running?`,
    );
  };
}

function authorizationBy({ token }: ServiceAccess): Record<string, string> {
  return token === '' ? {} : { authorization: `Bearer ${token}` };
}

interface Asked {
  method: string;
  /** With its query. */
  path: string;
  body?: string | ReadableStream;
  headers?: Readonly<Record<string, string>>;
}

interface AnyRequest {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

function askedOf(operation: Operation, request: unknown): Asked {
  const { params = {}, query = {}, body } = (request ?? {}) as AnyRequest;
  const path = operation.path.replace(/:(\w+)/g, (_all, key: string) => segment(String(params[key])));
  const asked = { method: operation.method, path: path + queryText(query) };
  const isKeyed = operation.method !== 'GET' && operation.consumes === undefined;
  const headers = {
    ...(isKeyed ? { [keyHeader]: crypto.randomUUID() } : {}),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  return body === undefined ? { ...asked, headers } : { ...asked, headers, body: JSON.stringify(body) };
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

function isLate(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'TimeoutError';
}

function unanswered(cause: unknown, url: string, method: string): BrambleError {
  return new BrambleError(
    'ERR_ADMIN_UNREACHABLE',
    `${url} ${isLate(cause) ? 'did not answer in time' : `closed the connection (${messageOf(cause)})`}.` +
      (method === 'GET' ? '' : ' It is unknown whether the request was carried out: check before you try again.'),
    { cause },
  );
}

async function jsonOf(response: Response, url: string, asked: Asked): Promise<unknown> {
  const text = await response.text().catch((cause: unknown) => {
    throw unanswered(cause, url, asked.method);
  });
  if (text === '') return null;
  const value = jsonOrUndefined(text);
  if (value === undefined) throw notOurs(response, url, asked);
  return value;
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
  return new AnsweredError({ status: response.status, url, asked: textOf(asked) }, code, message, details);
}

function notOurs({ status }: Response, url: string, asked: Asked): AnsweredError {
  return new AnsweredError(
    { status, url, asked: textOf(asked) },
    'ERR_ADMIN_ANSWER',
    `${url} answered ${status} without an explanation. It may not be a Bramble administration service.`,
    {},
  );
}

function textOf({ method, path }: Asked): string {
  return `${method} ${path.split('?')[0]}`;
}
