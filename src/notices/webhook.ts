/**
 * Sends a notice to a webhook: a signed POST of JSON.
 *
 * Invariants: an attempt ends within its time, whatever the other side does; a redirect is not followed, since the URL is
 * what an administrator has chosen; of the answer no more is read than is shown.
 */
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import * as z from 'zod';
import { messageOf } from '../base/errors.ts';
import { fieldError } from '../base/field-error.ts';
import { lookupBy, type NameAddress, systemAddresses } from '../base/name-lookups.ts';
import { isOwnHost } from '../base/own-host.ts';
import { shownText } from '../base/shown-text.ts';
import { attemptMs, type Notice, type Telling } from './notice.ts';
import { signatureHeaders } from './webhook-signature.ts';

/** Sealed as a whole: the path of many a webhook's URL is its password. */
export const webhookShape = z.object({
  url: z.string(),
  key: z.string(),
  caPem: z.string().optional(),
  /** Signs, too, until the receiver knows the other one. */
  former: z.object({ key: z.string(), until: z.iso.datetime() }).optional(),
});
export type Webhook = z.output<typeof webhookShape>;

const formerKeyMs = 86_400_000;

/** The same with another key. Of several changes within a day the last former key signs. */
export function withKey(webhook: Webhook, key: string, now: Date): Webhook {
  if (key === webhook.key) return webhook;
  return { ...webhook, key, former: { key: webhook.key, until: new Date(now.getTime() + formerKeyMs).toISOString() } };
}

/** Those that sign at this time. */
function keysOf({ key, former }: Webhook, now: Date): string[] {
  return former !== undefined && Date.parse(former.until) > now.getTime() ? [key, former.key] : [key];
}

/** Bytes of an answer's body that are read, and characters of it that are shown. */
const readBytes = 4096;
const shownCharacters = 200;
const longestRetryMs = 3_600_000;

/** @throws BrambleError ERR_INPUT for a URL that no notice is sent to */
export function webhookAddress(text: string): { url: string; address: string; host: string } {
  if (!URL.canParse(text)) throw fieldError('body', 'url', 'is not a URL');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    throw fieldError('body', 'url', 'must not contain a user name or a password');
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isOwnHost(url.hostname))) {
    throw fieldError('body', 'url', 'must be https: only a service on this machine is accepted without encryption');
  }
  url.hash = '';
  const address = url.pathname === '/' && url.search === '' ? url.origin : `${url.origin}/…`;
  return { url: url.href, address, host: url.hostname };
}

interface Attempt {
  signal: AbortSignal;
  /** Addresses of the webhook's host; it gives up at the signal's end. */
  find?: (name: string, signal: AbortSignal) => Promise<readonly NameAddress[]>;
  timeoutMs?: number;
}

/** `signal` ends an attempt early, which then rejects with the signal's reason. */
export async function postWebhook(
  webhook: Webhook,
  notice: Notice,
  domain: string,
  { signal, find = systemAddresses, timeoutMs = attemptMs }: Attempt,
): Promise<Telling> {
  const { url, caPem } = webhook;
  const now = new Date();
  const body = JSON.stringify({
    type: eventType(notice.kind),
    timestamp: notice.at.toISOString(),
    data: { domain, kind: notice.kind, subject: notice.subject, message: notice.message },
  });
  const headers = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    'user-agent': 'bramble',
    ...signatureHeaders(keysOf(webhook, now), { id: notice.id, at: now, body }),
  };
  const deadline = AbortSignal.timeout(timeoutMs);
  const ended = AbortSignal.any([signal, deadline]);
  try {
    const send = url.startsWith('https:') ? requestTls : requestPlain;
    const request = send(url, {
      ...{ method: 'POST', headers, agent: false, signal: ended, lookup: lookupBy((name) => find(name, ended)) },
      ...(caPem === undefined ? {} : { ca: caPem }),
    });
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve).on('error', reject);
      request.end(body);
    });
    const text = await beginningOf(answer).finally(() => request.destroy());
    return judge(answer, text);
  } catch (error) {
    signal.throwIfAborted();
    return {
      kind: 'failed',
      answer: deadline.aborted ? `no answer within ${timeoutMs / 1000} seconds` : messageOf(error),
    };
  }
}

/** `upgrade-paused` is `upgrade.paused`: the specification wants words of letters, in a hierarchy. */
function eventType(kind: string): string {
  return kind.replace('-', '.').replaceAll('-', '_');
}

function judge(answer: IncomingMessage, text: string): Telling {
  const { statusCode = 0, statusMessage = '', headers } = answer;
  const status = shownText(`${statusCode} ${statusMessage}`.trim());
  if (statusCode >= 200 && statusCode < 300) return { kind: 'delivered', answer: said(status, text) };
  if (statusCode >= 300 && statusCode < 400) {
    return { kind: 'failed', answer: `${status}: a redirect, which is not followed` };
  }
  return { kind: 'failed', answer: said(status, text), retryAfterMs: retryAfterOf(headers['retry-after']) };
}

function said(status: string, text: string): string {
  const line = shownText(text.replaceAll(/\s+/g, ' ').trim().slice(0, shownCharacters));
  return line === '' ? status : `${status}: ${line}`;
}

/** Seconds or a date (RFC 9110 §10.2.3); nothing that is neither. */
function retryAfterOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(longestRetryMs, Math.max(0, ms));
}

/** What comes later, or does not come, changes nothing: the status is there. */
async function beginningOf(answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of answer as AsyncIterable<Buffer>) {
      pieces.push(piece);
      length += piece.length;
      if (length >= readBytes) break;
    }
  } catch {
    // Cut short by the other side, or by the end of the attempt.
  }
  return Buffer.concat(pieces).subarray(0, readBytes).toString();
}
