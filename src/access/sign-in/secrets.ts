/** Secrets of sign-in as they are made and stored: random, and in the database as a digest only. */
import { createHash, randomBytes } from 'node:crypto';

/** 43 characters of base64url: 256 random bits. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** SHA-256: what is digested has so many random bits that nothing slower is needed. */
export function secretDigest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
