/** Key pairs of the two kinds that Bramble uses. */
import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

export type KeyAlgorithm = 'EC-P256' | 'RSA-2048';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

const generate = promisify(generateKeyPair);

/** EC on P-256: below a millisecond. */
export function createEcKeyPair(): Promise<KeyPair> {
  return generate('ec', { namedCurve: 'prime256v1' });
}

/** RSA of 2,048 bits: tens of milliseconds on a thread of the pool. */
export function createRsaKeyPair(): Promise<KeyPair> {
  return generate('rsa', { modulusLength: 2048 });
}

export function createKeyPair(algorithm: KeyAlgorithm): Promise<KeyPair> {
  return algorithm === 'EC-P256' ? createEcKeyPair() : createRsaKeyPair();
}

/** PKCS #8 in PEM, to be encrypted before it is stored. */
export function privateKeyPemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** SubjectPublicKeyInfo in DER. */
export function spkiDerOf(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' });
}
