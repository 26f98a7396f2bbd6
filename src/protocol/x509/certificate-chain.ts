/**
 * Whether an authority has issued a certificate. Two parsers have to agree: the rules here, about what our own reader
 * sees, and OpenSSL's (`X509Certificate`), which checks names, key identifiers and the signature. So damage that one of
 * them overlooks is still caught. Invariant: only a fully understood certificate is trusted: no unknown critical
 * extensions, nothing stated in two ways.
 * @see RFC 5280 §4.1, §4.2, §6.1.4
 */
import { X509Certificate } from 'node:crypto';
import { BrambleError } from '../../base/errors.ts';
import { derSequence, derTime } from '../der/writer.ts';
import { extensionOid, readBasicConstraints, readKeyUsage } from './certificate-extensions.ts';
import { type CertificateFields, readCertificate } from './certificate-fields.ts';
import { assertUsableKey } from './public-key.ts';
import { isKnownSignature } from './signature-algorithm.ts';

const keyCertSignBit = 0x04;
const maxSerialOctets = 20;
const understood: ReadonlySet<string> = new Set(Object.values(extensionOid));

/** Whether the authority issued the certificate and both are valid at `now`. Damaged certificates are not. */
export function isIssuedBy(certificateDer: Uint8Array, authorityDer: Uint8Array, now: Date): boolean {
  try {
    const certificate = readCertificate(certificateDer);
    const authority = readCertificate(authorityDer);
    if (!isProper(certificate, now) || !isProper(authority, now) || !isAuthority(authority)) return false;
    if (!isSame(certificate.issuerDer, authority.subjectDer)) return false;
    const [read, issuer] = [certificateDer, authorityDer].map((der) => new X509Certificate(der));
    if (read === undefined || issuer === undefined) return false;
    assertUsableKey(issuer.publicKey);
    return read.checkIssued(issuer) && read.verify(issuer.publicKey);
  } catch (error) {
    // OpenSSL throws its own errors for what it cannot read.
    if (error instanceof BrambleError || (error instanceof Error && 'code' in error)) return false;
    throw error;
  }
}

function isProper(certificate: CertificateFields, now: Date): boolean {
  const { version, serial, notBefore, notAfter, validityDer, extensions } = certificate;
  const canonicalValidity = derSequence(derTime(notBefore), derTime(notAfter));
  return (
    version === 3 &&
    serial.length <= maxSerialOctets &&
    isPositive(serial) &&
    isSame(certificate.signedAlgorithmDer, certificate.outerAlgorithmDer) &&
    isKnownSignature(certificate.outerAlgorithmDer) &&
    isSame(validityDer, canonicalValidity) &&
    notBefore <= now &&
    now <= notAfter &&
    [...extensions].every(([oid, { critical }]) => !critical || understood.has(oid))
  );
}

function isPositive(serial: Uint8Array): boolean {
  const first = serial[0] ?? 0x80;
  return first < 0x80 && !(serial.length === 1 && first === 0);
}

function isAuthority({ extensions }: CertificateFields): boolean {
  const constraints = extensions.get(extensionOid.basicConstraints);
  const usage = extensions.get(extensionOid.keyUsage);
  if (constraints === undefined || usage === undefined) return false;
  const [bits = 0] = readKeyUsage(usage.valueDer);
  return readBasicConstraints(constraints.valueDer) && (bits & keyCertSignBit) !== 0;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
