/**
 * Wakes devices: APNs over HTTP/2, one session for all of them, to a configurable address. Invariant: nothing else
 * waits for a wake, and problems of the push service only cause delay: every push has an outcome within its deadline. A
 * push that broke is retried once on a fresh session, which is harmless because a later one replaces an earlier one.
 */
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../process/log/logger.ts';
import { type PushOutcome, parsePushAnswer } from '../../protocol/apns/push.ts';
import { createPushPause } from './push-pause.ts';
import { createPushSession, type PushTarget } from './push-session.ts';
import type { PushSettings } from './push-settings.ts';
import { createStreamSlots } from './stream-slots.ts';

interface PushCounts {
  readonly sent: number;
  readonly deadTokens: number;
  readonly retryLater: number;
  readonly rejected: number;
  readonly sessions: number;
}

interface PushClient {
  /** Never rejects. While the client backs off the outcome is `retry-later` at once. */
  push(target: PushTarget, signal?: AbortSignal): Promise<PushOutcome>;
  /** Milliseconds until pushes make sense again; 0 when they do now. */
  pausedForMs(): number;
  counts(): PushCounts;
  /** Ends the session; pushes in progress end with `retry-later`. */
  close(): Promise<void>;
}

export interface PushClientOptions {
  readonly settings: PushSettings;
  readonly clock: Clock;
  readonly log: Logger;
  /** Maximum number of concurrent streams. Default 50; the server's limit applies too. */
  readonly concurrency?: number;
  /** Default 10 s. */
  readonly requestTimeoutMs?: number;
  /** First delay after a failure; doubles up to a minute, with up to 50 % jitter. Default 500 ms. */
  readonly backoffMs?: number;
}

export function createPushClient(options: PushClientOptions): PushClient {
  const { settings, clock, log } = options;
  const counts = { sent: 0, deadTokens: 0, retryLater: 0, rejected: 0 };
  const session = createPushSession(settings, options.requestTimeoutMs ?? 10_000);
  const pause = createPushPause(clock, options.backoffMs ?? 500);
  const slots = createStreamSlots(() => Math.min(options.concurrency ?? 50, session.maxStreams()));
  let closed = false;

  async function attempt(target: PushTarget, signal: AbortSignal | undefined): Promise<PushOutcome | 'broken'> {
    try {
      const { status, body } = await session.send(target, clock.now(), signal);
      return parsePushAnswer(status, body);
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'a push broke');
      return 'broken';
    }
  }

  async function pushOnce(target: PushTarget, signal: AbortSignal | undefined): Promise<PushOutcome> {
    const isStopping = () => closed || signal?.aborted === true;
    if (isStopping()) return { outcome: 'retry-later', reason: 'the process is stopping' };
    if (pause.remainingMs() > 0) return { outcome: 'retry-later', reason: 'the push service is backed off from' };
    let outcome = await attempt(target, signal);
    if (outcome === 'broken' && !isStopping()) outcome = await attempt(target, signal);
    if (outcome === 'broken') outcome = { outcome: 'retry-later', reason: 'no connection to the push service' };
    if (outcome.outcome !== 'retry-later') pause.reset();
    else if (!isStopping()) backOff(outcome.reason);
    return outcome;
  }

  function backOff(reason: string): void {
    const delayMs = pause.begin();
    if (delayMs === undefined) return;
    log.warn({ reason, url: settings.url, delayMs }, 'the push service cannot be used now; devices are woken later');
  }

  return {
    async push(target, signal) {
      await slots.take();
      try {
        const outcome = await pushOnce(target, signal);
        count(counts, outcome);
        return outcome;
      } finally {
        slots.giveBack();
      }
    },
    pausedForMs: () => pause.remainingMs(),
    counts: () => ({ ...counts, sessions: session.opened() }),
    async close() {
      closed = true;
      await session.close();
    },
  };
}

function count(
  counts: { sent: number; deadTokens: number; retryLater: number; rejected: number },
  outcome: PushOutcome,
): void {
  switch (outcome.outcome) {
    case 'sent':
      counts.sent += 1;
      return;
    case 'unregistered':
    case 'bad-token':
      counts.deadTokens += 1;
      return;
    case 'retry-later':
      counts.retryLater += 1;
      return;
    case 'rejected':
      counts.rejected += 1;
      return;
  }
}
