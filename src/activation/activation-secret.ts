/**
 * Generates, digests and compares activation passwords, without a database. The digest is scrypt, so that a stolen
 * table does not reveal the passwords while they are valid.
 *
 * A password has three groups of six characters. The first is its **selector**: public, stored in the clear, and
 * checked before anything is digested. The other two are the secret, of 59 bits. The digest is over all three, as 1.1
 * compares it; its own passwords have ten characters, 49 bits, and no selector.
 */
import { randomBytes, randomInt, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

/**
 * Without i, l, o, 0 and 1, which are easily confused when read aloud and typed on a handheld. 31 characters, 4.95 bits
 * each.
 */
const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';
const groups = 3;
const groupLength = 6;
const cost: ScryptOptions = { N: 2 ** 14, r: 8, p: 1 };
const digestBytes = 32;
const saltBytes = 16;

interface ActivationDigest {
  readonly salt: Buffer;
  readonly digest: Buffer;
}

/** Such as `h7kqmx-2d9w8r-tnp4c6`. */
export function generateActivationPassword(): string {
  const group = () => Array.from({ length: groupLength }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
  return Array.from({ length: groups }, group).join('-');
}

/** Normalises what a person typed: no case, blanks or hyphens (which some keyboards turn into dashes). */
function normalizeActivationPassword(typed: string): string {
  return typed
    .toLowerCase()
    .replace(/[\s\p{Pd}]/gu, '')
    .slice(0, 64);
}

/** The first group of a password, whether or not a password with this selector exists. */
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
