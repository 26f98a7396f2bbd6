/**
 * Reads the fields of an X.509 certificate that Bramble decides by. Invariant: reading proves nothing; who trusts a
 * certificate has verified it (`isIssuedBy`) or knows its fingerprint.
 */
import { hash } from 'node:crypto';
import {
  bitStringOf,
  childrenOf,
  contentOf,
  contextTag,
  type DerElement,
  derTag,
  expectTag,
  oidOf,
  rawOf,
  readWhole,
  timeOf,
} from '../der/reader.ts';

export interface CertificateFields {
  /** The part that the signature covers. */
  readonly tbsDer: Uint8Array;
  /** Content octets of the serial number, two's complement. */
  readonly serial: Uint8Array;
  readonly issuerDer: Uint8Array;
  readonly subjectDer: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly publicKeySpkiDer: Uint8Array;
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  readonly signatureAlgorithm: string;
  readonly signature: Uint8Array;
}

/** @throws BrambleError ERR_DER_MALFORMED @see RFC 5280 §4.1 */
export function readCertificate(certificateDer: Uint8Array): CertificateFields {
  const [tbs, algorithm, signature] = childrenOf(readWhole(certificateDer));
  const fields = childrenOf(expectTag(tbs, derTag.sequence));
  if (fields[0]?.tag === contextTag(0, true)) fields.shift();
  const [serial, , issuer, validity, subject, spki, ...rest] = fields;
  const [notBefore, notAfter] = childrenOf(expectTag(validity, derTag.sequence));
  const extensions = rest.find((field) => field.tag === contextTag(3, true));
  return {
    tbsDer: rawOf(expectTag(tbs, derTag.sequence)),
    serial: contentOf(expectTag(serial, derTag.integer)),
    issuerDer: rawOf(expectTag(issuer, derTag.sequence)),
    subjectDer: rawOf(expectTag(subject, derTag.sequence)),
    notBefore: timeOf(notBefore),
    notAfter: timeOf(notAfter),
    publicKeySpkiDer: rawOf(expectTag(spki, derTag.sequence)),
    subjectKeyIdentifier: extensions === undefined ? undefined : subjectKeyIdentifierIn(extensions),
    signatureAlgorithm: oidOf(childrenOf(expectTag(algorithm, derTag.sequence))[0]),
    signature: bitStringOf(expectTag(signature, derTag.bitString)),
  };
}

function subjectKeyIdentifierIn(extensions: DerElement): Uint8Array | undefined {
  for (const extension of childrenOf(expectTag(childrenOf(extensions)[0], derTag.sequence))) {
    const parts = childrenOf(extension);
    if (oidOf(parts[0]) === '2.5.29.14') {
      const value = contentOf(expectTag(parts.at(-1), derTag.octetString));
      return contentOf(readWhole(value, derTag.octetString));
    }
  }
  return undefined;
}

/** SHA-256 of the certificate's DER, in lower-case hex: the name under which Bramble knows a certificate. */
export function fingerprintOf(certificateDer: Uint8Array): string {
  return hash('sha256', certificateDer, 'hex');
}
