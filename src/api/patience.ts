/**
 * How long a service is waited for. An answer has a deadline; a stream takes as long as it takes, but nobody waits for one that
 * stands still.
 *
 * Invariant: only the service's time counts, not that in which the own side has nothing to send, or takes nothing.
 */

/** What is waited for again and again. */
export interface Patience {
  /** Aborted with a `TimeoutError` once the service was waited for in vain. */
  readonly signal: AbortSignal;
  /** From now on it is the service's turn. @param failure what it did not do, such as *did not answer* */
  begin(limitMs: number, failure: string): void;
  /** It did what it was waited for. */
  end(): void;
  /** The same, for good. */
  close(): void;
}

export function createPatience(): Patience {
  const late = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isClosed = false;
  const end = (): void => clearTimeout(timer);
  return {
    signal: late.signal,
    begin: (limitMs, failure) => {
      end();
      if (isClosed) return;
      const text = `${failure} within ${limitMs / 1000} s`;
      timer = setTimeout(() => late.abort(new DOMException(text, 'TimeoutError')), limitMs);
    },
    end,
    close: () => {
      isClosed = true;
      end();
    },
  };
}

/** A body for a service. From its last byte on an answer is waited for: whoever has that closes the patience. */
export function bodyTakenIn(patience: Patience, body: ReadableStream, limitMs: number): ReadableStream {
  const reader = body.getReader();
  patience.begin(limitMs, 'took nothing');
  return new ReadableStream(
    {
      pull: async (controller) => {
        // Who sends it reads on when it is given up, to an end that may never come.
        if (patience.signal.aborted) {
          await reader.cancel(patience.signal.reason);
          throw patience.signal.reason;
        }
        patience.end();
        const { done, value } = await reader.read();
        patience.begin(limitMs, done ? 'did not answer' : 'took nothing');
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: async (reason) => await reader.cancel(reason),
    },
    // It is asked for more only when the service has taken what there was.
    { highWaterMark: 0 },
  );
}

/**
 * What a service sends, as it comes. The response was asked for with the signal of the patience, which ends it.
 * @param failed what becomes of an interruption
 */
export function bytesComingIn(
  patience: Patience,
  { body }: Response,
  limitMs: number,
  failed: (cause: unknown) => Error,
): ReadableStream<Uint8Array> {
  const reader = body?.getReader();
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        patience.begin(limitMs, 'sent nothing more');
        try {
          const read = await reader?.read();
          if (read?.value === undefined) controller.close();
          else controller.enqueue(read.value);
        } catch (cause) {
          throw failed(cause);
        } finally {
          patience.end();
        }
      },
      cancel: async (reason) => await reader?.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Resolves after that time. @throws the signal's reason */
export async function pause(durationMs: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, durationMs);
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', stop, { once: true });
  });
}
