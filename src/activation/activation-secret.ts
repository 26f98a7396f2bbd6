/**
 * Activation passwords as secrets: made, digested and compared; no database. The digest is scrypt, so that a stolen table
 * does not give the passwords away while they are valid.
 */
import { randomBytes, randomInt, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

/** No i, l, o, 0 and 1: read aloud and typed on a handheld, none is taken for another. 31 characters, 49 bits in ten. */
const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';
const passwordLength = 10;
const cost: ScryptOptions = { N: 2 ** 14, r: 8, p: 1 };
const digestBytes = 32;
const saltBytes = 16;

export interface ActivationDigest {
  readonly salt: Buffer;
  readonly digest: Buffer;
}

/** Ten characters in two groups, such as `h7kqm-x2d9w`. */
export function generateActivationPassword(): string {
  const letters = Array.from({ length: passwordLength }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
  return `${letters.slice(0, passwordLength / 2)}-${letters.slice(passwordLength / 2)}`;
}

/** What a person may have typed, without case, blanks and hyphens. */
export function normalizeActivationPassword(typed: string): string {
  return typed.toLowerCase().replace(/[\s-]/g, '').slice(0, 64);
}

/** The digest to store, under a fresh salt. About 40 ms of one thread of libuv's pool. */
export async function digestActivationPassword(password: string): Promise<ActivationDigest> {
  const salt = randomBytes(saltBytes);
  return { salt, digest: await derive(password, salt) };
}

/** Compares in constant time. Without a stored digest it takes as long and answers false. */
export async function matchesActivationPassword(typed: string, stored: ActivationDigest | undefined): Promise<boolean> {
  const derived = await derive(typed, stored?.salt ?? randomBytes(saltBytes));
  const expected = stored?.digest ?? randomBytes(digestBytes);
  return derived.length === expected.length && timingSafeEqual(derived, expected) && stored !== undefined;
}

function derive(password: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(normalizeActivationPassword(password), salt, digestBytes, cost, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
