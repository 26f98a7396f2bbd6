/**
 * Which headers pass the router, as pure rules.
 *
 * Invariant: `client-cert` and every `bramble-` header at an instance were set by the router, from TLS; whatever a
 * device sent under these names is gone.
 *
 * @see RFC 9440 §2.1 (Client-Cert), RFC 9110 §7.6.1 (hop-by-hop fields), RFC 9113 §8.2.2
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';

const neverForwarded = new Set([
  'client-cert',
  'client-cert-chain',
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-client-cert',
  'x-real-ip',
  'x-ssl-client-cert',
]);

const neverAnswered = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Names and values of a request's headers together, in bytes, at most. Above 64 KiB the HTTP/2 session of the link could not
 * carry them, and Node would close that session with everything on it; a signed request of a device has some 6 KB.
 */
export const headerBytesAtMost = 32 * 1024;
/** Headers of one request, at most: fewer than the session of the link takes. */
const headersAtMost = 100;
/** Bytes of a client certificate that is handed on, at most: a device's identity has 1 to 2 KB. */
const certificateBytesAtMost = 8 * 1024;

/** Whether a device's headers can be passed on, with room for those that the router adds. */
export function headersFit(headers: IncomingHttpHeaders): boolean {
  let sizeBytes = 0;
  let count = 0;
  for (const name in headers) {
    if (++count > headersAtMost) return false;
    const value = headers[name];
    // 32 for each, as HPACK counts (RFC 7541 §4.1).
    sizeBytes += name.length + 32 + (typeof value === 'string' ? value.length : String(value).length);
    if (sizeBytes > headerBytesAtMost) return false;
  }
  return true;
}

export interface Sender {
  /** `:base64:` of the DER certificate that TLS verified the possession of; null without one. */
  clientCertificate: string | null;
  remoteAddress: string;
}

/**
 * The `client-cert` value of a certificate that TLS verified the possession of. One that is far larger than an identity of
 * the domain is handed on as none: it could only break the link.
 * @see RFC 9440 §2.2
 */
export function clientCertificateOf(certificateDer: Buffer | undefined): string | null {
  if (certificateDer === undefined || certificateDer.length > certificateBytesAtMost) return null;
  return `:${certificateDer.toString('base64')}:`;
}

/** Headers of a device's request for the instance. Names in `headers` are lower case, as Node gives them. */
export function requestHeaders(
  method: string,
  path: string,
  headers: IncomingHttpHeaders,
  sender: Sender,
  bodyBytes: number,
): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {
    ':method': method,
    ':path': path,
    ':scheme': 'https',
    ':authority': headers[':authority'] ?? String(headers['host'] ?? ''),
  };
  const listed = connectionListed(headers);
  for (const name in headers) {
    // 58 is the colon of a pseudo-header.
    if (name.charCodeAt(0) === 58 || neverForwarded.has(name)) continue;
    if (name.startsWith('bramble-') || name.startsWith('x-forwarded-')) continue;
    if (listed?.has(name) === true) continue;
    kept[name] = headers[name];
  }
  if (bodyBytes > 0) kept['content-length'] = String(bodyBytes);
  kept['bramble-remote-address'] = sender.remoteAddress;
  if (sender.clientCertificate !== null) kept['client-cert'] = sender.clientCertificate;
  return kept;
}

/** Headers of an instance's answer for the device. The body's length is set by whoever writes the answer. */
export function responseHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {};
  for (const name in headers) {
    if (name.charCodeAt(0) === 58 || neverAnswered.has(name)) continue;
    if (name.startsWith('bramble-') && name !== 'bramble-code') continue;
    kept[name] = headers[name];
  }
  return kept;
}

function connectionListed(headers: IncomingHttpHeaders): Set<string> | undefined {
  const connection = headers['connection'];
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined;
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()));
}
