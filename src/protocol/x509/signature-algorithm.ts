/**
 * Signature and digest algorithms by object identifier. Invariant: MD5 and anything unlisted is refused, and an algorithm
 * never verifies with a key of another type.
 */
import { type KeyObject, sign, verify } from 'node:crypto';
import { BrambleError } from '../../base/errors.ts';
import { childrenOf, oidOf, readWhole } from '../der/reader.ts';
import { derNull, derOid, derSequence } from '../der/writer.ts';

type DigestName = 'sha1' | 'sha256' | 'sha384' | 'sha512';

const digests: ReadonlyMap<string, DigestName> = new Map<string, DigestName>([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

interface SignatureAlgorithm {
  readonly keyType: 'rsa' | 'ec';
  /** Undefined if the digest is named separately from the signature. */
  readonly digest: DigestName | undefined;
}

const signatures: ReadonlyMap<string, SignatureAlgorithm> = new Map<string, SignatureAlgorithm>([
  ['1.2.840.113549.1.1.1', { keyType: 'rsa', digest: undefined }],
  ['1.2.840.113549.1.1.5', { keyType: 'rsa', digest: 'sha1' }],
  ['1.2.840.113549.1.1.11', { keyType: 'rsa', digest: 'sha256' }],
  ['1.2.840.113549.1.1.12', { keyType: 'rsa', digest: 'sha384' }],
  ['1.2.840.113549.1.1.13', { keyType: 'rsa', digest: 'sha512' }],
  ['1.2.840.10045.2.1', { keyType: 'ec', digest: undefined }],
  ['1.2.840.10045.4.1', { keyType: 'ec', digest: 'sha1' }],
  ['1.2.840.10045.4.3.2', { keyType: 'ec', digest: 'sha256' }],
  ['1.2.840.10045.4.3.3', { keyType: 'ec', digest: 'sha384' }],
  ['1.2.840.10045.4.3.4', { keyType: 'ec', digest: 'sha512' }],
]);

/** @throws BrambleError ERR_ALGORITHM_UNSUPPORTED */
export function digestNamed(oid: string): DigestName {
  const digest = digests.get(oid);
  if (digest === undefined) throw unsupported(`The digest algorithm ${oid} is not supported: use SHA-256.`);
  return digest;
}

/** Whether certificates may be signed with it: a listed algorithm that names its digest. @throws BrambleError ERR_DER_MALFORMED */
export function isKnownSignature(algorithmDer: Uint8Array): boolean {
  return signatures.get(oidOf(childrenOf(readWhole(algorithmDer))[0]))?.digest !== undefined;
}

/**
 * Whether `signature` over `data` is `key`'s. `digest` is the one named beside the signature, if any.
 * @throws BrambleError ERR_ALGORITHM_UNSUPPORTED for an unknown algorithm, or one that is not the key's
 */
export function isSignedBy(
  key: KeyObject,
  algorithmOid: string,
  digest: DigestName | undefined,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const algorithm = signatures.get(algorithmOid);
  if (algorithm === undefined) throw unsupported(`The signature algorithm ${algorithmOid} is not supported.`);
  const used = algorithm.digest ?? digest;
  if (used === undefined || (digest !== undefined && used !== digest)) {
    throw unsupported('The signature algorithm does not match the digest algorithm named with it.');
  }
  if (key.asymmetricKeyType !== algorithm.keyType)
    throw unsupported('The signature algorithm does not match the type of the key.');
  return verify(used, data, key, signature);
}

/** A SHA-256 signature (PKCS #1 v1.5 or ECDSA), and its AlgorithmIdentifier. @throws BrambleError ERR_ALGORITHM_UNSUPPORTED */
export function signWith(key: KeyObject, data: Uint8Array): { algorithmDer: Buffer; signature: Buffer } {
  return { algorithmDer: signatureAlgorithmDer(key), signature: sign('sha256', data, key) };
}

/**
 * The signature of `signWith`, made on a thread off the event loop: for operations that a stranger can request
 * repeatedly.
 */
export async function signOffLoop(key: KeyObject, data: Uint8Array): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    sign('sha256', data, key, (error, signature) => (error === null ? resolve(signature) : reject(error)));
  });
}

/** The AlgorithmIdentifier of `signWith` for this key. @throws BrambleError ERR_ALGORITHM_UNSUPPORTED */
export function signatureAlgorithmDer(key: KeyObject): Buffer {
  if (key.asymmetricKeyType === 'rsa') return derSequence(derOid('1.2.840.113549.1.1.11'), derNull());
  if (key.asymmetricKeyType === 'ec') return derSequence(derOid('1.2.840.10045.4.3.2'));
  throw unsupported('Only RSA and EC keys can sign.');
}

function unsupported(message: string): BrambleError {
  return new BrambleError('ERR_ALGORITHM_UNSUPPORTED', message);
}
