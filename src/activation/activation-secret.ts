/**
 * Activation passwords as secrets: made, digested and compared; no database. The digest is scrypt, so that a stolen table
 * does not give the passwords away while they are valid.
 *
 * A password has three groups of six characters. The first is its **selector**: public, stored as it is, and looked at
 * before anything is digested. The other two are the secret, of 59 bits. The digest is over all three, as 1.1 compares it;
 * its own passwords have ten characters, 49 bits, and no selector.
 */
import { randomBytes, randomInt, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

/** No i, l, o, 0 and 1: read aloud and typed on a handheld, none is taken for another. 31 characters, 4.95 bits each. */
const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';
const groups = 3;
const groupLength = 6;
const cost: ScryptOptions = { N: 2 ** 14, r: 8, p: 1 };
const digestBytes = 32;
const saltBytes = 16;

export interface ActivationDigest {
  readonly salt: Buffer;
  readonly digest: Buffer;
}

/** Such as `h7kqmx-2d9w8r-tnp4c6`. */
export function generateActivationPassword(): string {
  const group = () => Array.from({ length: groupLength }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
  return Array.from({ length: groups }, group).join('-');
}

/** What a person may have typed, without case, blanks and hyphens (some keyboards make dashes of them). */
function normalizeActivationPassword(typed: string): string {
  return typed
    .toLowerCase()
    .replace(/[\s\p{Pd}]/gu, '')
    .slice(0, 64);
}

/** What stands first in a password, whether or not there is one with this selector. */
export function activationSelectorOf(typed: string): string {
  return normalizeActivationPassword(typed).slice(0, groupLength);
}

/** The digest to store, under a fresh salt. About 40 ms of one thread of libuv's pool. */
export async function digestActivationPassword(password: string): Promise<ActivationDigest> {
  const salt = randomBytes(saltBytes);
  return { salt, digest: await derive(password, salt) };
}

/** Compares in constant time; the same 40 ms. */
export async function matchesActivationPassword(typed: string, stored: ActivationDigest): Promise<boolean> {
  const derived = await derive(typed, stored.salt);
  return derived.length === stored.digest.length && timingSafeEqual(derived, stored.digest);
}

function derive(password: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(normalizeActivationPassword(password), salt, digestBytes, cost, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
