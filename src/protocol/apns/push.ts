/**
 * The shapes of an MDM push: the request to APNs, and the meaning of its answers. No connection is made here.
 * Invariant: only explicit answers mark a token as gone; everything doubtful is retried.
 */
import { parseShallowJson } from '../../base/shallow-json.ts';

/** `:path` for a device token in bytes. */
export function pushPath(token: Uint8Array): string {
  return `/3/device/${Buffer.from(token).toString('hex')}`;
}

/** Headers of one push: kept by APNs for `ttlSeconds`, and a newer push replaces it. */
export function pushHeaders(options: {
  readonly topic: string;
  readonly nowMs: number;
  readonly ttlSeconds: number;
}): Record<string, string> {
  return {
    'apns-topic': options.topic,
    'apns-push-type': 'mdm',
    'apns-priority': '10',
    'apns-expiration': String(Math.floor(options.nowMs / 1000) + options.ttlSeconds),
    'content-type': 'application/json',
  };
}

/** The body: nothing but the device's push magic. */
export function pushPayload(pushMagic: string): string {
  return JSON.stringify({ mdm: pushMagic });
}

export type PushOutcome =
  | { readonly outcome: 'sent' }
  /** Both mean: wait for the device's next TokenUpdate. */
  | { readonly outcome: 'unregistered' | 'bad-token'; readonly reason: string }
  | { readonly outcome: 'retry-later'; readonly reason: string }
  /** Retrying is useless until a person acts: wrong topic, certificate or payload. */
  | { readonly outcome: 'rejected'; readonly reason: string };

/** What APNs said. @see Apple "Handling notification responses from APNs" */
export function parsePushAnswer(status: number, body: string): PushOutcome {
  if (status === 200) return { outcome: 'sent' };
  const reason = reasonIn(body) ?? `status ${status}`;
  if (status === 410) return { outcome: 'unregistered', reason };
  if (reason === 'BadDeviceToken') return { outcome: 'bad-token', reason };
  if (status === 429 || status >= 500 || reason === 'IdleTimeout') return { outcome: 'retry-later', reason };
  return { outcome: 'rejected', reason };
}

function reasonIn(body: string): string | undefined {
  try {
    const answer: unknown = parseShallowJson(body);
    const reason = typeof answer === 'object' && answer !== null && 'reason' in answer ? answer.reason : undefined;
    return typeof reason === 'string' ? reason.slice(0, 100) : undefined;
  } catch {
    // An answer without JSON is judged by its status alone.
    return undefined;
  }
}
