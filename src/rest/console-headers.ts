/** What browsers are told of every answer on the console's origin. Nothing of another origin is loaded, and no other page frames this one. */
import { randomBytes } from 'node:crypto';

/** The build writes it where the page names the nonce of its style elements; each answer has another. */
const noncePlace = 'BRAMBLE_NONCE';

const always = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};
/** A year. */
const strictTransport = { 'strict-transport-security': 'max-age=31536000' };

type Headers = Readonly<Record<string, string>>;

export function commonHeaders(scheme: 'http' | 'https'): Headers {
  return scheme === 'https' ? { ...always, ...strictTransport } : always;
}

/** Of what is no page: should a browser show it as one, it does nothing. */
export const inertHeaders: Headers = { 'content-security-policy': "default-src 'none'; frame-ancestors 'none'" };

/** Of the API, whichever port it is asked at: what it says is for who asks, and for no cache. */
export const apiHeaders: Headers = { ...always, ...inertHeaders, 'cache-control': 'no-store' };

/** The page with a nonce of its own, and the policy that names it. */
export function pageAnswer(html: string): { html: string; headers: Headers } {
  const nonce = randomBytes(18).toString('base64url');
  return {
    html: html.replaceAll(noncePlace, nonce),
    headers: { ...pageHeaders, 'content-security-policy': policy(nonce) },
  };
}

const pageHeaders = {
  'cache-control': 'no-store',
  'permissions-policy':
    'camera=(), geolocation=(), microphone=(), payment=(), usb=(), publickey-credentials-create=(self), publickey-credentials-get=(self)',
};

function policy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
