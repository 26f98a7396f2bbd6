/**
 * The extensions of a certificate. Invariant: those that we, or OpenSSL for us, rely on are well formed; the values of
 * others are not examined.
 * @see RFC 5280 §4.2.1
 */
import {
  bytesOfBits,
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
  textOf,
} from '../der/reader.ts';
import { readName } from './name.ts';

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

/** By object identifier; each comes once. `wrapped` is the field `[3]`. @throws BrambleError ERR_DER_MALFORMED */
export function readExtensions(wrapped: DerElement): Map<string, CertificateExtension> {
  const [list, surplus] = childrenOf(wrapped);
  const found = new Map<string, CertificateExtension>();
  for (const extension of childrenOf(expectTag(list, derTag.sequence))) {
    const [type, ...parts] = childrenOf(expectTag(extension, derTag.sequence));
    const oid = oidOf(type);
    const critical = parts[0]?.tag === derTag.boolean && isTrue(parts.shift());
    const [value, further] = parts;
    if (further !== undefined || found.has(oid)) throw derMalformed('a certificate has an extension twice');
    const valueDer = contentOf(expectTag(value, derTag.octetString));
    checks[oid]?.(valueDer);
    found.set(oid, { critical, valueDer });
  }
  if (surplus !== undefined || found.size === 0)
    throw derMalformed('the extensions of a certificate have an unexpected structure');
  return found;
}

const checks: Readonly<Record<string, (valueDer: Uint8Array) => unknown>> = {
  [extensionOid.subjectKeyIdentifier]: readKeyIdentifier,
  [extensionOid.keyUsage]: readKeyUsage,
  [extensionOid.basicConstraints]: readBasicConstraints,
  [extensionOid.extendedKeyUsage]: (valueDer) => someOf(childrenOf(readWhole(valueDer))).map(oidOf),
  [extensionOid.subjectAltName]: (valueDer) => someOf(childrenOf(readWhole(valueDer))).forEach(checkGeneralName),
  [extensionOid.authorityKeyIdentifier]: checkAuthorityKeyIdentifier,
};

export function readKeyIdentifier(valueDer: Uint8Array): Uint8Array {
  return contentOf(readWhole(valueDer, derTag.octetString));
}

/** The octets of the named bits, the first of which is digitalSignature. */
export function readKeyUsage(valueDer: Uint8Array): Uint8Array {
  return bytesOfBits(readWhole(valueDer, derTag.bitString));
}

/** Whether it marks the certificate as an authority's. */
export function readBasicConstraints(valueDer: Uint8Array): boolean {
  const parts = childrenOf(readWhole(valueDer));
  const authority = parts[0]?.tag === derTag.boolean && isTrue(parts.shift());
  const [pathLength, surplus] = parts;
  if (surplus !== undefined) throw derMalformed('basic constraints have an unexpected structure');
  if (pathLength !== undefined && (integerOf(pathLength)[0] ?? 0) >= 0x80)
    throw derMalformed('the path length is negative or too large');
  return authority;
}

function checkAuthorityKeyIdentifier(valueDer: Uint8Array): void {
  const parts = childrenOf(readWhole(valueDer));
  if (parts[0]?.tag === contextTag(0, false)) parts.shift();
  if (parts[0]?.tag === contextTag(1, true)) someOf(childrenOf(parts.shift() as DerElement)).forEach(checkGeneralName);
  if (parts[0]?.tag === contextTag(2, false)) parts.shift();
  if (parts.length > 0) throw derMalformed('an authority key identifier has an unexpected structure');
}

/** Names, addresses and identifiers; X.400 and EDI names, which are never used, are not read. */
function checkGeneralName(element: DerElement): void {
  switch (element.tag) {
    case contextTag(1, false):
    case contextTag(2, false):
    case contextTag(6, false):
      if (!/^[\x20-\x7e]*$/.test(textOf(element))) throw derMalformed('an alternative name is not ASCII');
      return;
    case contextTag(4, true): {
      const [name, surplus] = childrenOf(element);
      if (surplus !== undefined) throw derMalformed('an alternative name has an unexpected structure');
      readName(rawOf(expectTag(name, derTag.sequence)));
      return;
    }
    case contextTag(7, false):
      if (![4, 16].includes(contentOf(element).length)) throw derMalformed('an IP address has an unsupported length');
      return;
    case contextTag(8, false):
      return;
    case contextTag(0, true): {
      const [type, value, surplus] = childrenOf(element);
      oidOf(type);
      expectTag(value, contextTag(0, true));
      if (surplus === undefined) return;
    }
  }
  throw derMalformed('an alternative name is of an unknown type');
}

/** An explicit false is not DER, but common, and is accepted as false. @throws BrambleError ERR_DER_MALFORMED */
function isTrue(element: DerElement | undefined): boolean {
  const content = contentOf(expectTag(element, derTag.boolean));
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) throw derMalformed('a boolean is malformed');
  return content[0] === 0xff;
}

function someOf(elements: DerElement[]): DerElement[] {
  if (elements.length === 0) throw derMalformed('a list that must not be empty is empty');
  return elements;
}
