/**
 * Signatures of webhooks: HMAC-SHA256 over id, time and body, so that a receiver can tell that a request is ours and was
 * not sent again by somebody else.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { createHmac } from 'node:crypto';
import { webhookKeyPrefix } from '../api/notices.ts';

/** The headers of one attempt, signed with each of the keys: a receiver needs one of them. `id` stays the same in all attempts; neither it nor the time may contain a full stop. */
export function signatureHeaders(
  keys: readonly string[],
  { id, at, body }: { readonly id: string; readonly at: Date; readonly body: string },
): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1000));
  const signatures = keys.map((key) => {
    const secret = Buffer.from(key.slice(webhookKeyPrefix.length), 'base64');
    return `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
  });
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
