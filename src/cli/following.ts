/**
 * Follows what a service tells live. When the service ends, is replaced in an upgrade or falls silent, the next one is asked to
 * go on behind the last message, so that nothing is missed or shown twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { StreamMessage } from '../api/event-stream.ts';
import { type BrambleError, isBrambleError } from '../base/errors.ts';

interface FollowOptions {
  /** Asks a service, which may be another one each time, to tell what comes behind a message. */
  open: (after: string | null) => Promise<AsyncIterable<StreamMessage>>;
  show: (message: StreamMessage) => void;
  /** Called once for each time that nobody can be asked. */
  onLost: (error: BrambleError) => void;
  /** How long nobody may answer; default five minutes. */
  patienceMs?: number;
  /** Between two attempts; default 1000. */
  retryMs?: number;
  signal?: AbortSignal;
}

/**
 * Until the signal is aborted.
 * @throws BrambleError ERR_ADMIN_UNREACHABLE when nobody answers the first time, or for too long; what a service refuses with
 */
export async function follow(options: FollowOptions): Promise<void> {
  const { open, show, onLost, patienceMs = 300_000, retryMs = 1000, signal } = options;
  let after: string | null = null;
  let heardAt: number | undefined;
  let isLost = false;
  const isOver = () => signal?.aborted === true;
  while (!isOver()) {
    try {
      for await (const message of await open(after)) {
        heardAt = performance.now();
        isLost = false;
        after = message.id ?? after;
        show(message);
        if (isOver()) return;
      }
    } catch (error) {
      const isPassing = heardAt !== undefined && performance.now() - heardAt < patienceMs;
      if (!isPassing || !isBetweenServices(error)) throw error;
      if (!isLost) onLost(error);
      isLost = true;
    }
    await delay(retryMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
  }
}

/** Nobody is there, or the coordinator of an upgrade alone. A release that tells nothing live, as after a reversal, ends it. */
function isBetweenServices(error: unknown): error is BrambleError {
  return (
    isBrambleError(error, 'ERR_ADMIN_UNREACHABLE') ||
    isBrambleError(error, 'ERR_RELEASE_FENCED') ||
    isBrambleError(error, 'ERR_DATABASE_UNAVAILABLE')
  );
}
