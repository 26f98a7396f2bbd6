/**
 * The HTTP/2 session to the push service: one for all pushes, opened when the first needs it and again when it is gone.
 * Invariant: no new stream is opened on a session that failed, was closed, or was announced to end.
 */
import http2 from 'node:http2';
import { pushHeaders, pushPath, pushPayload } from '../../protocol/apns/push.ts';
import type { PushSettings } from './push-settings.ts';

export interface PushTarget {
  readonly token: Uint8Array;
  readonly pushMagic: string;
  readonly topic: string;
}

interface PushSession {
  /**
   * Answer of the push service. Rejects if the push broke, or the settings are not accepted by TLS, such as an invalid
   * certificate. A session that does not answer in time is presumed dead: a half-open one would swallow every push
   * until TCP notices.
   */
  send(target: PushTarget, nowMs: number, signal: AbortSignal | undefined): Promise<{ status: number; body: string }>;
  /** Concurrent streams that the push service allows; unlimited until it has said so. */
  maxStreams(): number;
  /** How often it was opened. */
  opened(): number;
  /** Destroys it; streams under way break. */
  close(): Promise<void>;
}

const timeToLiveSeconds = 24 * 3600;
const maxAnswerBytes = 4096;

export function createPushSession(settings: PushSettings, requestTimeoutMs: number): PushSession {
  let session: http2.ClientHttp2Session | undefined;
  let opened = 0;

  function current(): http2.ClientHttp2Session {
    if (session && !session.closed && !session.destroyed) return session;
    const fresh = http2.connect(settings.url, {
      ...(settings.caPem === undefined ? {} : { ca: settings.caPem }),
      ...(settings.certificatePem === undefined ? {} : { cert: settings.certificatePem }),
      ...(settings.privateKeyPem === undefined ? {} : { key: settings.privateKeyPem }),
    });
    opened += 1;
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

  return {
    async send(target, nowMs, signal) {
      const used = current();
      try {
        return await request(used, target, requestTimeoutMs, nowMs, signal);
      } catch (error) {
        if (error instanceof RequestTimeout) used.destroy();
        throw error;
      }
    },
    maxStreams: () => session?.remoteSettings?.maxConcurrentStreams ?? Infinity,
    opened: () => opened,
    async close() {
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
      if (body.length < maxAnswerBytes) body += chunk;
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
