/**
 * The private key that releases are signed with: an Ed25519 key in PEM (PKCS#8) outside of the repository, for its owner
 * alone. It is read once, from the file that was looked at.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Signer } from '../src/release/signature.ts';

const checkout = realpathSync(path.dirname(import.meta.dirname));
const largestKeyFile = 8 * 1024;

/** @throws Error that says what is wrong with the file */
export function readSigningKey(file: string): Signer {
  refuseInRepository(realpathSync(file));
  const descriptor = openSync(file, 'r');
  let pem: string;
  try {
    const { mode, size, uid } = fstatSync(descriptor);
    const owner = process.getuid?.() ?? uid;
    if (uid !== owner || (mode & 0o077) !== 0) {
      throw new Error(`${file} is not for you alone: let nobody else read or write it (chmod 600, and be its owner).`);
    }
    if (size > largestKeyFile) throw new Error(`${file} is no key: it is larger than ${largestKeyFile} bytes.`);
    pem = readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
  return signerOf(file, pem);
}

/** Makes a key that was not there before, its public half beside it. @throws Error where one is there */
export function makeSigningKey(file: string): Signer {
  refuseInRepository(path.join(realpathSync(path.dirname(path.resolve(file))), path.basename(file)));
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  writeFileSync(`${file}.pub`, publicKey.export({ type: 'spki', format: 'pem' }), { mode: 0o644, flag: 'wx' });
  return readSigningKey(file);
}

function signerOf(file: string, pem: string): Signer {
  let key: KeyObject | undefined;
  try {
    if (pem.startsWith('-----BEGIN PRIVATE KEY-----')) key = createPrivateKey(pem);
  } catch {
    // Told below, without what OpenSSL says of the contents.
  }
  if (key?.asymmetricKeyType !== 'ed25519') {
    throw new Error(`${file} is not an Ed25519 key in PEM (PKCS#8). Make one: npm run release-key -- new PATH`);
  }
  const own = key;
  return { publicKey: createPublicKey(own), sign: (bytes) => sign(null, bytes, own) };
}

function refuseInRepository(real: string): void {
  const relative = path.relative(checkout, real);
  if (relative.startsWith('..') || path.isAbsolute(relative)) return;
  throw new Error(`${real} lies in the repository, and could be committed: keep the key elsewhere.`);
}
