/**
 * Certificates that were read before, with their keys ready for use: the same device signs again and again.
 * Invariant: bounded; the least recently used entry goes first. A cached certificate is as untrusted as a fresh one.
 */
import type { KeyObject } from 'node:crypto';
import { fingerprintOf, readCertificate } from '../x509/certificate-fields.ts';
import { publicKeyFrom } from '../x509/public-key.ts';

export interface KnownCertificate {
  readonly certificateDer: Uint8Array;
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string;
  readonly issuerDer: Uint8Array;
  readonly serial: Uint8Array;
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  readonly key: KeyObject;
}

export interface CertificateKeys {
  /** @throws BrambleError ERR_DER_MALFORMED, ERR_ALGORITHM_UNSUPPORTED */
  get(certificateDer: Uint8Array): KnownCertificate;
}

/** A cache of at most `maxEntries` certificates; 0 keeps none. One entry takes about 4 KB. */
export function createCertificateKeys(maxEntries = 10_000): CertificateKeys {
  const known = new Map<string, KnownCertificate>();
  return {
    get(certificateDer) {
      const fingerprint = fingerprintOf(certificateDer);
      const found = known.get(fingerprint);
      const certificate = found ?? readKnown(certificateDer, fingerprint);
      if (found !== undefined) known.delete(fingerprint);
      known.set(fingerprint, certificate);
      if (known.size > maxEntries) {
        const [oldest] = known.keys();
        if (oldest !== undefined) known.delete(oldest);
      }
      return certificate;
    },
  };
}

function readKnown(source: Uint8Array, fingerprint: string): KnownCertificate {
  // A copy: the source is a view into a whole request.
  const certificateDer = Uint8Array.from(source);
  const { issuerDer, serial, subjectKeyIdentifier, publicKeySpkiDer } = readCertificate(certificateDer);
  const key = publicKeyFrom(publicKeySpkiDer);
  return { certificateDer, fingerprint, issuerDer, serial, subjectKeyIdentifier, key };
}
