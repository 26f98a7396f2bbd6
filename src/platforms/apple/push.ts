/**
 * Wakes devices: APNs over HTTP/2, one session for all of them, to a configurable address. Invariant: nothing else
 * waits for a wake, and problems of the push service only cause delay: every push has an outcome within its deadline. A
 * push that broke is retried once on a fresh session, which is harmless because a later one replaces an earlier one.
 */
import http2 from 'node:http2';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../process/log/logger.ts';
import { type PushOutcome, parsePushAnswer, pushHeaders, pushPath, pushPayload } from '../../protocol/apns/push.ts';
import type { PushSettings } from './push-settings.ts';

export interface PushTarget {
  readonly token: Uint8Array;
  readonly pushMagic: string;
  readonly topic: string;
}

export interface PushCounts {
  readonly sent: number;
  readonly deadTokens: number;
  readonly retryLater: number;
  readonly rejected: number;
  readonly sessions: number;
}

export interface PushClient {
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

const longestBackoffMs = 60_000;
const timeToLiveSeconds = 24 * 3600;
const largestAnswerBytes = 4096;

export function createPushClient(options: PushClientOptions): PushClient {
  const { settings, clock, log } = options;
  const requestTimeoutMs = options.requestTimeoutMs ?? 10_000;
  const counts = { sent: 0, deadTokens: 0, retryLater: 0, rejected: 0, sessions: 0 };
  const waiting: (() => void)[] = [];
  let session: http2.ClientHttp2Session | undefined;
  let open = 0;
  let failures = 0;
  let pausedUntil = 0;
  let closed = false;

  function pause(reason: string): void {
    // Many pushes fail together with their session: that is one failure.
    if (clock.now() < pausedUntil) return;
    const delayMs = Math.min(longestBackoffMs, (options.backoffMs ?? 500) * 2 ** Math.min(failures, 16));
    failures += 1;
    pausedUntil = clock.now() + delayMs * (1 + Math.random() / 2);
    log.warn({ reason, url: settings.url, delayMs }, 'the push service cannot be used now; devices are woken later');
  }

  function currentSession(): http2.ClientHttp2Session {
    if (session && !session.closed && !session.destroyed) return session;
    const fresh = http2.connect(settings.url, {
      ...(settings.caPem === undefined ? {} : { ca: settings.caPem }),
      ...(settings.certificatePem === undefined ? {} : { cert: settings.certificatePem }),
      ...(settings.privateKeyPem === undefined ? {} : { key: settings.privateKeyPem }),
    });
    counts.sessions += 1;
    const forget = () => {
      if (session === fresh) session = undefined;
    };
    // Its streams report the error; without a listener it would end the process.
    fresh.on('error', forget);
    // After GOAWAY no new stream may be opened; those under way end by themselves, then node closes the session.
    fresh.on('goaway', forget);
    fresh.on('close', forget);
    session = fresh;
    return fresh;
  }

  async function slot(): Promise<void> {
    const limit = Math.min(options.concurrency ?? 50, session?.remoteSettings?.maxConcurrentStreams ?? Infinity);
    if (open < Math.max(1, limit)) {
      open += 1;
      return;
    }
    // A released slot is passed on, so `open` does not change.
    await new Promise<void>((resolve) => waiting.push(resolve));
  }

  function giveBackSlot(): void {
    const next = waiting.shift();
    if (next) next();
    else open -= 1;
  }

  async function attempt(target: PushTarget, signal: AbortSignal | undefined): Promise<PushOutcome | 'broken'> {
    let used: http2.ClientHttp2Session | undefined;
    try {
      // Throws for settings that TLS does not accept, such as an invalid certificate.
      used = currentSession();
      const { status, body } = await request(used, target, requestTimeoutMs, clock.now(), signal);
      return parsePushAnswer(status, body);
    } catch (error) {
      if (error instanceof RequestTimeout) {
        // The connection is presumed dead: a half-open one would swallow every push until TCP notices.
        used?.destroy();
      }
      log.debug({ error: messageOf(error) }, 'a push broke');
      return 'broken';
    }
  }

  async function pushOnce(target: PushTarget, signal: AbortSignal | undefined): Promise<PushOutcome> {
    if (closed || signal?.aborted) return { outcome: 'retry-later', reason: 'the process is stopping' };
    if (clock.now() < pausedUntil) return { outcome: 'retry-later', reason: 'the push service is backed off from' };
    let outcome = await attempt(target, signal);
    if (outcome === 'broken' && !closed && !signal?.aborted) outcome = await attempt(target, signal);
    if (outcome === 'broken') outcome = { outcome: 'retry-later', reason: 'no connection to the push service' };
    if (outcome.outcome !== 'retry-later') failures = 0;
    else if (!closed && !signal?.aborted) pause(outcome.reason);
    return outcome;
  }

  return {
    async push(target, signal) {
      await slot();
      try {
        const outcome = await pushOnce(target, signal);
        count(counts, outcome);
        return outcome;
      } finally {
        giveBackSlot();
      }
    },
    pausedForMs: () => Math.max(0, pausedUntil - clock.now()),
    counts: () => ({ ...counts }),
    async close() {
      closed = true;
      const last = session;
      if (!last || last.destroyed) return;
      await new Promise<void>((resolve) => {
        last.once('close', resolve);
        last.destroy();
      });
    },
  };
}

class RequestTimeout extends Error {}

function request(
  session: http2.ClientHttp2Session,
  target: PushTarget,
  timeoutMs: number,
  nowMs: number,
  signal: AbortSignal | undefined,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const stream = session.request(
      {
        ':method': 'POST',
        ':path': pushPath(target.token),
        ...pushHeaders({ topic: target.topic, nowMs, ttlSeconds: timeToLiveSeconds }),
      },
      signal ? { signal } : {},
    );
    // The deadline of one network operation uses the machine's timer, not the domain's clock.
    const timer = setTimeout(() => stream.destroy(new RequestTimeout('no answer in time')), timeoutMs);
    let status = 0;
    let body = '';
    stream.setEncoding('utf8');
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
    });
    stream.on('data', (chunk: string) => {
      if (body.length < largestAnswerBytes) body += chunk;
    });
    stream.on('error', reject);
    stream.on('close', () => {
      clearTimeout(timer);
      if (status === 0 || stream.rstCode !== 0) reject(new Error(`the stream was closed with ${stream.rstCode}`));
      else resolve({ status, body });
    });
    stream.end(pushPayload(target.pushMagic));
  });
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
