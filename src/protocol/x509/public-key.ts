/** Reads public keys that strangers send. Invariant: only kinds and sizes that are safe and cheap to verify with pass. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { BrambleError } from '../../base/errors.ts';

/**
 * The key of a SubjectPublicKeyInfo: RSA of 1,024 to 8,192 bits, or EC on a NIST curve. Larger keys cost too much to try.
 * @throws BrambleError ERR_ALGORITHM_UNSUPPORTED
 */
export function publicKeyFrom(spkiDer: Uint8Array): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spkiDer), format: 'der', type: 'spki' });
  } catch (error) {
    throw new BrambleError('ERR_ALGORITHM_UNSUPPORTED', 'The public key cannot be read.', { cause: error });
  }
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {};
  const usableRsa =
    key.asymmetricKeyType === 'rsa' && modulusLength >= 1024 && modulusLength <= 8192 && publicExponent < 2n ** 33n;
  const usableEc =
    key.asymmetricKeyType === 'ec' && ['prime256v1', 'secp384r1', 'secp521r1'].includes(namedCurve ?? '');
  if (!usableRsa && !usableEc) {
    throw new BrambleError('ERR_ALGORITHM_UNSUPPORTED', 'The public key is neither RSA (1,024 to 8,192 bits) nor EC.');
  }
  return key;
}
