/**
 * Client of an administration service, based only on `fetch`, so that programs and browsers share it. Requests and
 * answers are typed by the operations' shapes. Invariant: a change that may have been carried out is never resent, unless
 * the services keep its idempotency key, or the caller declares all of its changes repeatable.
 */
import { BrambleError, isBrambleError } from '../base/errors.ts';
import { deliveryOperations } from './deliveries.ts';
import { readStream, type StreamMessage } from './event-stream.ts';
import {
  AnsweredError,
  type Asked,
  askedOf,
  exchange,
  isLate,
  jsonOf,
  keyHeader,
  type ServiceAccess,
  unanswered,
} from './exchange.ts';
import type { AnswerOf, Operation, RequestOf } from './operation.ts';
import { bodyTakenIn, bytesComingIn, createPatience, type Patience, pause } from './patience.ts';

export interface ClientOptions {
  /**
   * Which service to ask, other than those to skip.
   * @throws BrambleError ERR_ADMIN_UNREACHABLE if there is none (left)
   */
  choose(passOver: ReadonlySet<string>): Promise<ServiceAccess>;
  fetch?: typeof fetch;
  /** For an answer, or the beginning of one that is a stream; default one minute. */
  timeoutMs?: number;
  /** How long a stream may stand still by the service's doing; default five minutes. */
  silenceMs?: number;
  signal?: AbortSignal;
  /** Whether changes may be resent to another service after an interrupted request. Default false. */
  repeatable?: boolean;
  /** How long, all in all, a request may wait until a service that is asked too often takes it; default not at all. */
  limitedMs?: number;
  /** Told each time before it waits. */
  onLimited?: (restMs: number) => void;
  /** Says more about a failure that a service answered. */
  explain?: (error: AnsweredError, access: ServiceAccess) => Promise<AnsweredError>;
}

export interface AdministrationClient {
  /**
   * @param key the idempotency key of an attempt before; default: a new one
   * @throws AnsweredError with the service's code, or BrambleError ERR_ADMIN_UNREACHABLE, ERR_ADMIN_ANSWER.
   */
  call<Op extends Operation>(operation: Op, request: RequestOf<Op>, key?: string): Promise<AnswerOf<Op>>;
  /** The same with the raw answer, including what only the service's release knows. {@link readAnswer} reads it. */
  send<Op extends Operation>(operation: Op, request: RequestOf<Op>, key?: string): Promise<unknown>;
  /** Sends a stream, for as long as the service takes it. */
  upload<Op extends Operation & { consumes: string }>(operation: Op, body: ReadableStream): Promise<AnswerOf<Op>>;
  /** The bytes of an answer as they arrive, for as long as they do. */
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

/** In an answer: what a service does that releases before 1.5 did not, such as `idempotency-key`. */
export const abilitiesHeader = 'bramble-abilities';

export function keepsKeys(headers: Headers): boolean {
  return (headers.get(abilitiesHeader) ?? '').split(/, ?/).includes(keyHeader);
}

/** A request that every service answers with few bytes. */
const smallQuestion = askedOf(deliveryOperations.showBudget, {});

export function createAdministrationClient(options: ClientOptions): AdministrationClient {
  const { timeoutMs = 60_000, silenceMs = 300_000, explain } = options;
  const fetchIt = options.fetch ?? fetch;
  const whole = inTurn(options);

  const ask = async (access: ServiceAccess, asked: Asked, { signal: late }: Patience): Promise<Response> => {
    const signal = options.signal === undefined ? late : AbortSignal.any([options.signal, late]);
    return await exchange(access, asked, { fetchIt, signal, explain });
  };
  /** Until it has begun to answer. */
  const began = async (access: ServiceAccess, asked: Asked, patience: Patience): Promise<Response> => {
    patience.begin(timeoutMs, 'did not answer');
    try {
      return await ask(access, asked, patience);
    } finally {
      patience.end();
    }
  };
  const answered = async (access: ServiceAccess, asked: Asked, patience = createPatience()): Promise<unknown> => {
    try {
      if (!(asked.body instanceof ReadableStream)) patience.begin(timeoutMs, 'did not answer');
      return await jsonOf(await ask(access, asked, patience), access.url, asked);
    } finally {
      patience.close();
    }
  };
  const send: AdministrationClient['send'] = async (operation, request, key) => {
    const asked = askedOf(operation, request, key);
    return await whole(asked, async (access) => await answered(access, asked));
  };

  return {
    send,
    call: async (operation, request, key) => readAnswer(operation, await send(operation, request, key)),
    upload: async (operation, body) => {
      // A stream can be sent only once: a small request first finds a service that accepts it, rather than a
      // coordinator.
      const access = await whole(smallQuestion, async (candidate) => {
        await answered(candidate, smallQuestion);
        return candidate;
      });
      const patience = createPatience();
      const taken = bodyTakenIn(patience, body, silenceMs);
      const headers = { 'content-type': operation.consumes };
      const asked = { ...askedOf(operation, undefined), body: taken, headers };
      return readAnswer(operation, await answered(access, asked, patience));
    },
    download: async (operation, request) => {
      const asked = askedOf(operation, request);
      return await whole(asked, async (access) => {
        const patience = createPatience();
        const response = await began(access, asked, patience);
        return bytesComingIn(patience, response, silenceMs, (cause) => unanswered(cause, access.url, asked.method));
      });
    },
    follow: async (operation, request, after) => {
      const resumed: Record<string, string> = after === null ? {} : { 'last-event-id': after };
      const asked = { ...askedOf(operation, request), headers: { accept: operation.stream, ...resumed } };
      return await whole(asked, async (access) => {
        const patience = createPatience();
        const response = await began(access, asked, patience);
        if (response.headers.get('content-type')?.startsWith(operation.stream) === true)
          return readStream(untilSilent(bytesComingIn(patience, response, liveSilenceMs, asError)));
        await response.body?.cancel();
        throw new BrambleError(
          'ERR_ADMIN_ANSWER',
          `${access.url} tells nothing live: its release is older. Ask again once the domain is upgraded.`,
        );
      });
    },
  };
}

/** A service gives a sign of life every 15 s; one that does not is frozen, or unreachable without anybody saying so. */
const liveSilenceMs = 45_000;

/** Ends where nothing comes any more, and where the connection is lost. */
async function* untilSilent(bytes: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = bytes.getReader();
  try {
    for (;;) {
      const read = await reader.read().catch(() => undefined);
      if (read?.value === undefined) return;
      yield read.value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

/** Asks one service after another, as long as the previous one cannot have done anything, or the next one would know. */
function inTurn(options: ClientOptions) {
  const { choose, repeatable = false, limitedMs = 0 } = options;
  return async <Answer>(
    { method, headers }: Pick<Asked, 'method' | 'headers'>,
    work: (access: ServiceAccess) => Promise<Answer>,
  ): Promise<Answer> => {
    const passOver = new Set<string>();
    const askedTwice = new Set<string>();
    const isKeyed = headers?.[keyHeader] !== undefined;
    let failure: unknown;
    let mayBeDone = false;
    let waitedMs = 0;
    for (;;) {
      const access = await choose(passOver).catch((error: unknown) => {
        throw failure ?? error;
      });
      if (mayBeDone && access.keepsKeys !== true) throw failure;
      try {
        return await work(access);
      } catch (error) {
        options.signal?.throwIfAborted();
        const restMs = method === 'GET' || isKeyed ? restOf(error) : undefined;
        if (restMs !== undefined && waitedMs + restMs <= limitedMs) {
          waitedMs += restMs;
          options.onLimited?.(restMs);
          await pause(restMs, options.signal);
          continue;
        }
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
  };
}

/** How long a service that was asked too often wants not to be asked; it has done nothing. */
function restOf(error: unknown): number | undefined {
  if (!(error instanceof AnsweredError) || error.status !== 429 || error.retryAfterMs === undefined) return undefined;
  // Whoever comes again at once finds what it found.
  return Math.max(error.retryAfterMs, 100);
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
