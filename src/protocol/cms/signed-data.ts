/**
 * Reads the structure of CMS SignedData, DER or BER. Invariant: reading checks no signature; `verification.ts` does.
 * @see RFC 5652 §5
 */
import {
  childrenOf,
  contentOf,
  contextTag,
  type DerElement,
  derMalformed,
  derTag,
  type Encoding,
  expectTag,
  integerOf,
  octetsOf,
  oidOf,
  rawOf,
  readWhole,
} from '../der/reader.ts';
import { derFrom, isDer } from '../der/writer.ts';

export const cmsOid = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingTime: '1.2.840.113549.1.9.5',
} as const;

export interface SignerInfo {
  /** Which certificate signed: by issuer and serial number, or by subject key identifier. */
  readonly identifier:
    | { readonly kind: 'issuer-and-serial'; readonly issuerDer: Uint8Array; readonly serial: Uint8Array }
    | { readonly kind: 'subject-key'; readonly keyIdentifier: Uint8Array };
  readonly digestAlgorithm: string;
  readonly signedAttributes: SignedAttributes | undefined;
  readonly signatureAlgorithm: string;
  readonly signature: Uint8Array;
}

export interface SignedAttributes {
  /** The DER SET that the signature covers. */
  readonly der: Uint8Array;
  /** The one value of each attribute by object identifier. */
  readonly values: ReadonlyMap<string, DerElement>;
}

export interface SignedData {
  readonly contentType: string;
  /** Undefined when the signature is detached. */
  readonly content: Uint8Array | undefined;
  readonly certificates: readonly Uint8Array[];
  readonly signers: readonly SignerInfo[];
}

/** More than a chain has. */
const maxCertificates = 16;

/**
 * `encoding` is 'ber' for what Apple's devices write (their encoder streams: lengths are indefinite, contents in segments).
 * @throws BrambleError ERR_DER_MALFORMED
 */
export function readSignedData(bytes: Uint8Array, encoding: Encoding = 'der'): SignedData {
  const fields = childrenOf(contentInfo(readWhole(bytes, derTag.sequence, encoding), cmsOid.signedData));
  integerOf(fields.shift());
  expectTag(fields.shift(), derTag.set);
  const [contentType, wrapped, surplus] = childrenOf(expectTag(fields.shift(), derTag.sequence));
  const certificates = fields[0]?.tag === contextTag(0, true) ? childrenOf(fields[0]) : [];
  const signers = fields.pop();
  // Before the signers there are only certificates and revocation lists; the latter are ignored.
  const kinds = fields.map((field) => field.tag).join();
  if (!knownFields.includes(kinds) || surplus !== undefined)
    throw derMalformed('a signed message has an unexpected structure');
  if (certificates.length > maxCertificates)
    throw derMalformed(`it contains more than ${maxCertificates} certificates`);
  return {
    contentType: oidOf(contentType),
    content: wrapped === undefined ? undefined : contentIn(wrapped),
    certificates: certificates.map(rawOf),
    signers: childrenOf(expectTag(signers, derTag.set)).map(readSigner),
  };
}

const knownFields = [[], [contextTag(0, true)], [contextTag(1, true)], [contextTag(0, true), contextTag(1, true)]].map(
  (tags) => tags.join(),
);

/** The content of a ContentInfo, which must be of the wanted type. @throws BrambleError ERR_DER_MALFORMED */
export function contentInfo(info: DerElement, wantedType: string): DerElement {
  const [type, wrapped, surplus] = childrenOf(info);
  const [inner, second] = childrenOf(expectTag(wrapped, contextTag(0, true)));
  if (surplus !== undefined || second !== undefined) throw derMalformed('the message holds more than one content');
  if (oidOf(type) !== wantedType) throw derMalformed('the message is of another CMS type');
  return expectTag(inner, derTag.sequence);
}

function contentIn(wrapped: DerElement): Uint8Array {
  const [inner, second] = childrenOf(expectTag(wrapped, contextTag(0, true)));
  if (second !== undefined) throw derMalformed('the message holds more than one content');
  if (inner?.tag === (derTag.octetString | 0x20)) return octetsOf(inner);
  return contentOf(expectTag(inner, derTag.octetString));
}

function readSigner(signer: DerElement): SignerInfo {
  const [version, identifier, digest, ...rest] = childrenOf(expectTag(signer, derTag.sequence));
  integerOf(version);
  const attributes = rest[0]?.tag === contextTag(0, true) ? rest.shift() : undefined;
  const [algorithm, signature, unsigned, surplus] = rest;
  if (surplus !== undefined || (unsigned !== undefined && unsigned.tag !== contextTag(1, true))) {
    throw derMalformed('a signer has an unexpected structure');
  }
  return {
    identifier: readIdentifier(identifier),
    digestAlgorithm: oidOf(childrenOf(expectTag(digest, derTag.sequence))[0]),
    signedAttributes: attributes === undefined ? undefined : readAttributes(attributes),
    signatureAlgorithm: oidOf(childrenOf(expectTag(algorithm, derTag.sequence))[0]),
    signature: contentOf(expectTag(signature, derTag.octetString)),
  };
}

function readIdentifier(identifier: DerElement | undefined): SignerInfo['identifier'] {
  if (identifier?.tag === contextTag(0, false)) return { kind: 'subject-key', keyIdentifier: contentOf(identifier) };
  const [issuer, serial] = childrenOf(expectTag(identifier, derTag.sequence));
  return {
    kind: 'issuer-and-serial',
    issuerDer: rawOf(expectTag(issuer, derTag.sequence)),
    serial: integerOf(serial),
  };
}

function readAttributes(attributes: DerElement): SignedAttributes {
  const values = new Map<string, DerElement>();
  for (const attribute of childrenOf(attributes)) {
    const [type, set, surplus] = childrenOf(expectTag(attribute, derTag.sequence));
    const oid = oidOf(type);
    const [value, second] = childrenOf(expectTag(set, derTag.set));
    // RFC 5652 §5.3: an attribute occurs once; those used here have one value.
    if (value === undefined || second !== undefined || surplus !== undefined || values.has(oid)) {
      throw derMalformed('a signed attribute does not have exactly one value');
    }
    values.set(oid, value);
  }
  // §5.4: the signature covers the SET in DER, not the tag [0] that was sent. A signer that sorted it differently also
  // signed it that way.
  return { der: isDer(attributes) ? retagged(attributes) : derFrom(attributes, derTag.set), values };
}

function retagged(attributes: DerElement): Uint8Array {
  const copy = Uint8Array.from(rawOf(attributes));
  copy[0] = derTag.set;
  return copy;
}
