/**
 * RSA key pairs are slow to make (some 60 a second), so a fleet draws from a few that are generated in parallel. Devices
 * that share a key still have certificates of their own, and the server tells them apart by those.
 */
import { createRsaKeyPair, type KeyPair, privateKeyPemOf } from '../protocol/x509/key-pair.ts';

export interface PooledKeyPair extends KeyPair {
  /** PKCS #8. */
  readonly privateKeyPem: string;
}

/** `count` RSA key pairs of 2048 bits; generated on the thread pool, so several at a time. */
export async function generateKeyPool(count: number): Promise<PooledKeyPair[]> {
  const pairs = await Promise.all(Array.from({ length: count }, () => createRsaKeyPair()));
  return pairs.map((pair) => ({ ...pair, privateKeyPem: privateKeyPemOf(pair.privateKey) }));
}
