/**
 * Reads the fields of an X.509 certificate that Bramble relies on. Invariant: only DER that states each thing once is
 * accepted; reading proves nothing: a caller that trusts a certificate has verified it (`isIssuedBy`) or knows its
 * fingerprint.
 */
import { hash } from 'node:crypto';
import {
  bitStringOf,
  checkWhole,
  childrenOf,
  contextTag,
  type DerElement,
  derMalformed,
  derTag,
  expectTag,
  integerOf,
  oidOf,
  rawOf,
  readWhole,
  timeOf,
} from '../der/reader.ts';
import {
  type CertificateExtension,
  extensionOid,
  readExtensions,
  readKeyIdentifier,
} from './certificate-extensions.ts';
import { readName } from './name.ts';

export interface CertificateFields {
  /** 1 to 3. */
  readonly version: number;
  /** Content octets of the serial number, two's complement. */
  readonly serial: Uint8Array;
  readonly issuerDer: Uint8Array;
  readonly subjectDer: Uint8Array;
  readonly validityDer: Uint8Array;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly publicKeySpkiDer: Uint8Array;
  /** By object identifier; each comes once. */
  readonly extensions: ReadonlyMap<string, CertificateExtension>;
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  /** The AlgorithmIdentifier inside of what is signed, and the one beside the signature. */
  readonly signedAlgorithmDer: Uint8Array;
  readonly outerAlgorithmDer: Uint8Array;
}

/** @throws BrambleError ERR_DER_MALFORMED @see RFC 5280 §4.1 */
export function readCertificate(certificateDer: Uint8Array): CertificateFields {
  const certificate = readWhole(certificateDer);
  checkWhole(certificate);
  const [tbs, outerAlgorithm, signature, surplus] = childrenOf(certificate);
  bitStringOf(expectTag(signature, derTag.bitString));
  const fields = childrenOf(expectTag(tbs, derTag.sequence));
  const version = fields[0]?.tag === contextTag(0, true) ? versionIn(fields.shift()) : 1;
  const [serial, signedAlgorithm, issuer, validity, subject, spki, ...rest] = fields;
  const [notBefore, notAfter, third] = childrenOf(expectTag(validity, derTag.sequence));
  // Unique identifiers, which are unused and ignored.
  for (const number of [1, 2]) if (version > 1 && rest[0]?.tag === contextTag(number, false)) rest.shift();
  const wrapped = version === 3 && rest[0]?.tag === contextTag(3, true) ? rest.shift() : undefined;
  if (surplus !== undefined || third !== undefined || rest.length > 0) {
    throw derMalformed('a certificate has fields that its version does not allow');
  }
  for (const name of [issuer, subject]) readName(rawOf(expectTag(name, derTag.sequence)));
  const extensions = wrapped === undefined ? new Map<string, CertificateExtension>() : readExtensions(wrapped);
  const keyIdentifier = extensions.get(extensionOid.subjectKeyIdentifier)?.valueDer;
  return {
    version,
    serial: integerOf(serial),
    issuerDer: rawOf(expectTag(issuer, derTag.sequence)),
    subjectDer: rawOf(expectTag(subject, derTag.sequence)),
    validityDer: rawOf(expectTag(validity, derTag.sequence)),
    notBefore: timeOf(notBefore),
    notAfter: timeOf(notAfter),
    publicKeySpkiDer: publicKeyIn(spki),
    extensions,
    subjectKeyIdentifier: keyIdentifier === undefined ? undefined : readKeyIdentifier(keyIdentifier),
    signedAlgorithmDer: algorithmIn(signedAlgorithm),
    outerAlgorithmDer: algorithmIn(outerAlgorithm),
  };
}

function publicKeyIn(spki: DerElement | undefined): Uint8Array {
  const element = expectTag(spki, derTag.sequence);
  const [algorithm, bits, surplus] = childrenOf(element);
  algorithmIn(algorithm);
  bitStringOf(expectTag(bits, derTag.bitString));
  if (surplus !== undefined) throw derMalformed('a public key has an unexpected structure');
  return rawOf(element);
}

function algorithmIn(algorithm: DerElement | undefined): Uint8Array {
  const element = expectTag(algorithm, derTag.sequence);
  const [type, , surplus] = childrenOf(element);
  oidOf(type);
  if (surplus !== undefined) throw derMalformed('an algorithm identifier has an unexpected structure');
  return rawOf(element);
}

function versionIn(wrapped: DerElement | undefined): number {
  const [number, surplus] = childrenOf(expectTag(wrapped, contextTag(0, true)));
  const octets = integerOf(number);
  const value = octets[0] ?? 0;
  // Version 1 is the default, which DER leaves out.
  if (surplus !== undefined || octets.length !== 1 || (value !== 1 && value !== 2)) {
    throw derMalformed('a certificate has an unknown version');
  }
  return value + 1;
}

/** SHA-256 of the certificate's DER, in lower-case hex: by which Bramble identifies a certificate. */
export function fingerprintOf(certificateDer: Uint8Array): string {
  return hash('sha256', certificateDer, 'hex');
}
