/**
 * Reads the fields of an X.509 certificate that Bramble decides by. Invariant: only DER that says each thing once is read;
 * reading proves nothing: who trusts a certificate has verified it (`isIssuedBy`) or knows its fingerprint.
 */
import { hash } from 'node:crypto';
import {
  bitStringOf,
  childrenOf,
  contentOf,
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

export interface CertificateExtension {
  readonly critical: boolean;
  readonly valueDer: Uint8Array;
}

export const extensionOid = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;

/** @throws BrambleError ERR_DER_MALFORMED @see RFC 5280 §4.1 */
export function readCertificate(certificateDer: Uint8Array): CertificateFields {
  const [tbs, outerAlgorithm, signature, surplus] = childrenOf(readWhole(certificateDer));
  bitStringOf(expectTag(signature, derTag.bitString));
  const fields = childrenOf(expectTag(tbs, derTag.sequence));
  const version = fields[0]?.tag === contextTag(0, true) ? versionIn(fields.shift()) : 1;
  const [serial, signedAlgorithm, issuer, validity, subject, spki, ...rest] = fields;
  const [notBefore, notAfter, third] = childrenOf(expectTag(validity, derTag.sequence));
  // Unique identifiers, which nobody uses and nobody looks at.
  for (const number of [1, 2]) if (version > 1 && rest[0]?.tag === contextTag(number, false)) rest.shift();
  const wrapped = version === 3 && rest[0]?.tag === contextTag(3, true) ? rest.shift() : undefined;
  if (surplus !== undefined || third !== undefined || rest.length > 0) {
    throw derMalformed('a certificate holds what its version does not know');
  }
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
    publicKeySpkiDer: rawOf(expectTag(spki, derTag.sequence)),
    extensions,
    subjectKeyIdentifier:
      keyIdentifier === undefined ? undefined : contentOf(readWhole(keyIdentifier, derTag.octetString)),
    signedAlgorithmDer: rawOf(expectTag(signedAlgorithm, derTag.sequence)),
    outerAlgorithmDer: rawOf(expectTag(outerAlgorithm, derTag.sequence)),
  };
}

function versionIn(wrapped: DerElement | undefined): number {
  const [number, surplus] = childrenOf(expectTag(wrapped, contextTag(0, true)));
  const octets = integerOf(number);
  const value = octets[0] ?? 0;
  // Version 1 is the default, which DER leaves out.
  if (surplus !== undefined || octets.length !== 1 || (value !== 1 && value !== 2)) {
    throw derMalformed('a certificate has no known version');
  }
  return value + 1;
}

function readExtensions(wrapped: DerElement): Map<string, CertificateExtension> {
  const [list, surplus] = childrenOf(wrapped);
  const found = new Map<string, CertificateExtension>();
  for (const extension of childrenOf(expectTag(list, derTag.sequence))) {
    const [type, ...parts] = childrenOf(expectTag(extension, derTag.sequence));
    const oid = oidOf(type);
    const flag = parts[0]?.tag === derTag.boolean ? contentOf(expectTag(parts.shift(), derTag.boolean)) : undefined;
    const [value, further] = parts;
    if (further !== undefined || found.has(oid)) throw derMalformed('an extension of a certificate comes twice');
    found.set(oid, {
      critical: flag !== undefined && isTrue(flag),
      valueDer: contentOf(expectTag(value, derTag.octetString)),
    });
  }
  if (surplus !== undefined || found.size === 0)
    throw derMalformed('the extensions of a certificate have another form');
  return found;
}

/** An explicit false is not DER, but common, and means what it says. @throws BrambleError ERR_DER_MALFORMED */
export function isTrue(content: Uint8Array): boolean {
  const [octet] = content;
  if (content.length !== 1 || (octet !== 0 && octet !== 0xff)) throw derMalformed('a truth value is neither');
  return octet === 0xff;
}

/** SHA-256 of the certificate's DER, in lower-case hex: the name under which Bramble knows a certificate. */
export function fingerprintOf(certificateDer: Uint8Array): string {
  return hash('sha256', certificateDer, 'hex');
}
