/**
 * A cache of parsed certificates, with their keys ready for use: the same devices sign repeatedly. Invariant: bounded;
 * the least recently used certificate is evicted first, and the oldest header. A cached certificate is as untrusted as
 * a fresh one.
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { BoundedMap } from '../../base/bounded-map.ts';
import { BrambleError } from '../../base/errors.ts';
import { parseClientCert } from '../client-cert-header.ts';
import { fingerprintOf, readCertificate } from '../x509/certificate-fields.ts';
import { assertKnownAlgorithm, assertUsableKey, unreadable } from '../x509/public-key.ts';

export interface KnownCertificate {
  readonly certificateDer: Uint8Array;
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string;
  readonly issuerDer: Uint8Array;
  readonly serial: Uint8Array;
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  /** @throws BrambleError ERR_DER_MALFORMED, ERR_ALGORITHM_UNSUPPORTED */
  readonly key: KeyObject;
}

export interface CertificateKeys {
  /** @throws BrambleError ERR_DER_MALFORMED */
  get(certificateDer: Uint8Array): KnownCertificate;
  /** Of the certificate in a `Client-Cert` header, which is not read. @throws BrambleError ERR_CLIENT_CERT_HEADER */
  fingerprintOfHeader(header: string): string;
}

/** Longer ones are not kept: those of devices have 1 to 2 KB, and a stranger chooses the length of theirs. */
const maxKeptBytes = 4096;
const maxKeptHeader = 6144;

/** A cache of at most `maxEntries` certificates, and as many headers; 0 keeps none. One entry takes about 4 KB, a header 2. */
export function createCertificateKeys(maxEntries = 10_000): CertificateKeys {
  const known = new BoundedMap<string, KnownCertificate>(maxEntries);
  const fingerprints = new BoundedMap<string, string>(maxEntries);
  return {
    fingerprintOfHeader(header) {
      const found = fingerprints.get(header);
      if (found !== undefined) return found;
      const fingerprint = fingerprintOf(parseClientCert(header));
      if (header.length <= maxKeptHeader) fingerprints.set(header, fingerprint);
      return fingerprint;
    },
    get(certificateDer) {
      const fingerprint = fingerprintOf(certificateDer);
      const certificate = known.get(fingerprint) ?? readKnown(certificateDer, fingerprint);
      if (certificateDer.length <= maxKeptBytes) known.set(fingerprint, certificate);
      return certificate;
    },
  };
}

function readKnown(source: Uint8Array, fingerprint: string): KnownCertificate {
  // A copy: the source is a view into a whole request.
  const certificateDer = Uint8Array.from(source);
  const { issuerDer, serial, subjectKeyIdentifier, publicKeySpkiDer } = readCertificate(certificateDer);
  let key: KeyObject | undefined;
  return {
    certificateDer,
    fingerprint,
    issuerDer,
    serial,
    subjectKeyIdentifier,
    // Of all certificates that come with a signature only that of the signer needs its key.
    get key() {
      key ??= keyOf(certificateDer, publicKeySpkiDer);
      return key;
    },
  };
}

/** By OpenSSL's certificate parser, so that two parsers have understood what we trust; it costs no more. */
function keyOf(certificateDer: Uint8Array, publicKeySpkiDer: Uint8Array): KeyObject {
  assertKnownAlgorithm(publicKeySpkiDer);
  try {
    return assertUsableKey(new X509Certificate(certificateDer).publicKey);
  } catch (error) {
    throw error instanceof BrambleError ? error : unreadable(error);
  }
}
