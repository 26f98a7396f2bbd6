/** Reads public keys that strangers send. Invariant: only kinds and sizes that are safe and cheap to verify with pass. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { BrambleError } from '../../base/errors.ts';
import { bitStringOf, childrenOf, derTag, expectTag, integerOf, oidOf, readWhole } from '../der/reader.ts';

const rsaOid = '1.2.840.113549.1.1.1';
const ecOid = '1.2.840.10045.2.1';
const curveOids = ['1.2.840.10045.3.1.7', '1.3.132.0.34', '1.3.132.0.35'];

/**
 * The key of a SubjectPublicKeyInfo: RSA of 1,024 to 8,192 bits, or EC on a NIST curve. Larger keys cost too much to try.
 * @throws BrambleError ERR_ALGORITHM_UNSUPPORTED, ERR_DER_MALFORMED
 */
export function publicKeyFrom(spkiDer: Uint8Array): KeyObject {
  assertKnownAlgorithm(spkiDer);
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spkiDer), format: 'der', type: 'spki' });
  } catch (error) {
    throw unreadable(error);
  }
  return assertUsableKey(key);
}

/**
 * The algorithm, before OpenSSL looks at the key: curves by name only, since it would try those that are spelled out.
 * @throws BrambleError ERR_ALGORITHM_UNSUPPORTED, ERR_DER_MALFORMED
 */
export function assertKnownAlgorithm(spkiDer: Uint8Array): void {
  const [algorithm, bits] = childrenOf(readWhole(spkiDer));
  const [type, parameters] = childrenOf(expectTag(algorithm, derTag.sequence));
  const oid = oidOf(type);
  if (oid === ecOid && parameters?.tag === derTag.oid && curveOids.includes(oidOf(parameters))) return;
  if (oid !== rsaOid) throw unsupported();
  // OpenSSL would also accept the two numbers in BER.
  const [modulus, exponent, surplus] = childrenOf(readWhole(bitStringOf(expectTag(bits, derTag.bitString))));
  integerOf(modulus);
  integerOf(exponent);
  if (surplus !== undefined) throw unsupported();
}

/** @throws BrambleError ERR_ALGORITHM_UNSUPPORTED */
export function assertUsableKey(key: KeyObject): KeyObject {
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {};
  const usableRsa =
    key.asymmetricKeyType === 'rsa' && modulusLength >= 1024 && modulusLength <= 8192 && publicExponent < 2n ** 33n;
  const usableEc =
    key.asymmetricKeyType === 'ec' && ['prime256v1', 'secp384r1', 'secp521r1'].includes(namedCurve ?? '');
  if (!usableRsa && !usableEc) throw unsupported();
  return key;
}

export function unreadable(cause: unknown): BrambleError {
  return new BrambleError('ERR_ALGORITHM_UNSUPPORTED', 'The public key cannot be read.', { cause });
}

function unsupported(): BrambleError {
  return new BrambleError(
    'ERR_ALGORITHM_UNSUPPORTED',
    'The public key is neither RSA with 1,024 to 8,192 bits nor EC on a NIST curve.',
  );
}
