/**
 * Which headers pass the router, as pure rules.
 *
 * Invariant: `client-cert` and every `bramble-` header at an instance were set by the router, from TLS; whatever a
 * device sent under these names is removed. What passes is valid in HTTP/2: nothing that a device sends causes a
 * protocol error there.
 *
 * @see RFC 9440 §2.1 (Client-Cert), RFC 9110 §7.6.1 (hop-by-hop fields), RFC 9113 §8.2.2
 */
import { hash } from 'node:crypto';
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
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** `:authority` on the link, for every device: an instance does not need to know which host a device named. */
const linkAuthority = 'bramble-link';

/**
 * Maximum size of a request's headers, names and values together, in bytes. Above 64 KiB the HTTP/2 session of the link
 * could not carry them, and Node would close that session with everything on it; a signed request of a device has some
 * 6 KB.
 */
const maxHeaderBytes = 32 * 1024;
/** Maximum number of headers in one request: fewer than the link's session allows. */
const maxHeaders = 100;
/** Maximum size in bytes of a client certificate that is passed on: a device's identity has 1 to 2 KB. */
const maxCertificateBytes = 8 * 1024;

/** Whether a device's headers can be passed on, with room for those that the router adds. */
export function headersFit(headers: IncomingHttpHeaders): boolean {
  let sizeBytes = 0;
  let count = 0;
  for (const name in headers) {
    for (const value of valuesOf(headers[name])) {
      if (++count > maxHeaders) return false;
      // 32 for each, as HPACK counts (RFC 7541 §4.1).
      sizeBytes += name.length + 32 + value.length;
      if (sizeBytes > maxHeaderBytes) return false;
    }
  }
  return true;
}

/** Node joins headers of the same name, except `set-cookie`, where each is a separate header on the link. */
function valuesOf(value: string | string[] | undefined): readonly string[] {
  return value === undefined ? [] : typeof value === 'string' ? [value] : value;
}

// A token in lower case; a value without control characters other than tab.
const fieldName = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The form of a header that is valid in HTTP/2; undefined if there is none. Values there have no blanks at either end;
 * one that Node joined may.
 * @see RFC 9113 §8.2.1
 */
function carriable(name: string, value: string | string[] | undefined): string | string[] | undefined {
  if (!fieldName.test(name)) return undefined;
  const values = valuesOf(value).map(trimmed);
  if (values.length === 0 || !values.every((text) => fieldValue.test(text))) return undefined;
  return values.length === 1 ? values[0] : values;
}

/** In one pass: a regular expression for trailing blanks would try each blank in the middle. */
function trimmed(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

export interface Sender {
  /** `:base64:` of the DER certificate whose possession TLS verified; null without one. */
  clientCertificate: string | null;
  remoteAddress: string;
}

/**
 * The `client-cert` value of a certificate whose possession TLS verified. One far larger than an identity of the domain
 * is treated as none: it could only break the link.
 * @see RFC 9440 §2.2
 */
export function clientCertificateOf(certificateDer: Buffer | undefined): string | null {
  if (certificateDer === undefined || certificateDer.length > maxCertificateBytes) return null;
  return `:${certificateDer.toString('base64')}:`;
}

/** SHA-256 of the certificate behind a `client-cert` value, lower-case hex, by which instances know a device. */
export function fingerprintOf(clientCertificate: string): string {
  return hash('sha256', Buffer.from(clientCertificate.slice(1, -1), 'base64'), 'hex');
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
    ':authority': linkAuthority,
  };
  const listed = connectionListed(headers);
  for (const name in headers) {
    // 58 is the colon of a pseudo-header.
    if (name.charCodeAt(0) === 58 || neverForwarded.has(name)) continue;
    if (name.startsWith('bramble-') || name.startsWith('x-forwarded-')) continue;
    if (listed?.has(name) === true) continue;
    const value = carriable(name, headers[name]);
    if (value !== undefined) kept[name] = value;
  }
  if (bodyBytes > 0) kept['content-length'] = String(bodyBytes);
  kept['bramble-remote-address'] = sender.remoteAddress;
  if (sender.clientCertificate !== null) kept['client-cert'] = sender.clientCertificate;
  return kept;
}

/**
 * Headers of an instance's answer for the device, valid in HTTP/1.1 and 2. The writer of the answer sets the body's
 * length.
 */
export function responseHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = {};
  for (const name in headers) {
    if (name.charCodeAt(0) === 58 || neverAnswered.has(name)) continue;
    if (name.startsWith('bramble-') && name !== 'bramble-code') continue;
    const value = carriable(name, headers[name]);
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

function connectionListed(headers: IncomingHttpHeaders): Set<string> | undefined {
  const connection = headers['connection'];
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined;
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()));
}
