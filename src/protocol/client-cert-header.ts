/**
 * The `Client-Cert` header, in which the router passes on the certificate of a device's TLS connection. Invariant:
 * exactly one structured-field byte sequence, canonical base64. @see RFC 9440 §2.2, RFC 8941 §3.3.5
 */
import { BrambleError } from '../base/errors.ts';

/** Longest accepted header value, in characters: certificates of devices have 1 to 2 KB. */
const maxLength = 16_384;

/** `:base64:` */
export function serializeClientCert(certificateDer: Uint8Array): string {
  return `:${Buffer.from(certificateDer).toString('base64')}:`;
}

/** The certificate's DER; its content is not examined. @throws BrambleError ERR_CLIENT_CERT_HEADER */
export function parseClientCert(value: string): Buffer {
  const trimmed = value.length > maxLength ? '' : value.trim();
  const der = Buffer.from(trimmed.slice(1, -1), 'base64');
  if (der.length === 0 || trimmed !== serializeClientCert(der)) {
    throw new BrambleError(
      'ERR_CLIENT_CERT_HEADER',
      'The Client-Cert header is not a single byte sequence as RFC 9440 requires.',
    );
  }
  return der;
}
