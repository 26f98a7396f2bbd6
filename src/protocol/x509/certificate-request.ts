/**
 * PKCS #10 certificate requests. Invariant: a request that was read has proven possession of its private key.
 * @see RFC 2986
 */
import type { KeyObject } from 'node:crypto';
import { BrambleError } from '../../base/errors.ts';
import {
  bitStringOf,
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
  textOf,
} from '../der/reader.ts';
import {
  derBits,
  derElement,
  derInteger,
  derOid,
  derPrintable,
  derSequence,
  derSetOf,
  derUtf8,
} from '../der/writer.ts';
import { type DistinguishedName, nameDer, readName } from './name.ts';
import { publicKeyFrom } from './public-key.ts';
import { isSignedBy, signWith } from './signature-algorithm.ts';

const challengePasswordOid = '1.2.840.113549.1.9.7';

export interface CertificateRequest {
  readonly subject: DistinguishedName;
  readonly subjectDer: Uint8Array;
  readonly publicKeySpkiDer: Uint8Array;
  readonly publicKey: KeyObject;
  readonly challengePassword: string | undefined;
}

/** @throws BrambleError ERR_DER_MALFORMED, ERR_ALGORITHM_UNSUPPORTED, ERR_SIGNATURE_INVALID (no proof of possession) */
export function readCertificateRequest(csrDer: Uint8Array): CertificateRequest {
  const [info, algorithm, signature, surplus] = childrenOf(readWhole(csrDer));
  const infoElement = expectTag(info, derTag.sequence);
  const [version, subject, spki, attributes, further] = childrenOf(infoElement);
  integerOf(version);
  if (surplus !== undefined || further !== undefined)
    throw derMalformed('a certificate request has an unexpected structure');
  const publicKeySpkiDer = rawOf(expectTag(spki, derTag.sequence));
  const publicKey = publicKeyFrom(publicKeySpkiDer);
  const algorithmOid = oidOf(childrenOf(expectTag(algorithm, derTag.sequence))[0]);
  const signed = bitStringOf(expectTag(signature, derTag.bitString));
  if (!isSignedBy(publicKey, algorithmOid, undefined, rawOf(infoElement), signed)) {
    throw new BrambleError(
      'ERR_SIGNATURE_INVALID',
      'The certificate request is not signed with the key that it is for.',
    );
  }
  const challengePassword = attributes?.tag === contextTag(0, true) ? challengeIn(attributes) : undefined;
  const subjectDer = rawOf(expectTag(subject, derTag.sequence));
  return { subject: readName(subjectDer), subjectDer, publicKeySpkiDer, publicKey, challengePassword };
}

function challengeIn(attributes: DerElement): string | undefined {
  let challenge: string | undefined;
  for (const attribute of childrenOf(attributes)) {
    const [type, values] = childrenOf(expectTag(attribute, derTag.sequence));
    if (oidOf(type) !== challengePasswordOid) continue;
    const [value, second] = childrenOf(expectTag(values, derTag.set));
    if (value === undefined || second !== undefined || challenge !== undefined) {
      throw derMalformed('a certificate request does not have exactly one challenge');
    }
    challenge = textOf(value);
  }
  return challenge;
}

/** A request in DER, signed with `key`. */
export function buildCertificateRequest(options: {
  readonly key: KeyObject;
  readonly publicKeySpkiDer: Uint8Array;
  readonly subject: DistinguishedName;
  readonly challengePassword?: string;
}): Buffer {
  const { key, publicKeySpkiDer, subject, challengePassword } = options;
  const attributes = challengePassword === undefined ? [] : [challengeAttribute(challengePassword)];
  const info = derSequence(
    derInteger(0),
    nameDer(subject),
    publicKeySpkiDer,
    derElement(contextTag(0, true), ...attributes),
  );
  const { algorithmDer, signature } = signWith(key, info);
  return derSequence(info, algorithmDer, derBits(signature));
}

function challengeAttribute(password: string): Buffer {
  const value = /^[A-Za-z0-9 '()+,./:=?-]*$/.test(password) ? derPrintable(password) : derUtf8(password);
  return derSequence(derOid(challengePasswordOid), derSetOf(value));
}
