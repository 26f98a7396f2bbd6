/**
 * The keys of one backup, from its passphrase: scrypt under a salt of its own, so that no two backups share a key and the
 * number of a part can be its nonce. One key encrypts (AES-256-GCM), another signs the manifest, a third value tells a
 * wrong passphrase from a damaged file.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scrypt,
  timingSafeEqual,
} from 'node:crypto';
import { promisify } from 'node:util';
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';

/** Of the first part of a backup. The limits keep a foreign file from asking for all memory. */
export const keyFactsShape = z.object({
  kdf: z.literal('scrypt'),
  salt: z.base64().max(64),
  cost: z
    .int()
    .min(2 ** 14)
    .max(2 ** 20),
  blockSize: z.int().min(8).max(16),
  check: z.base64().max(64),
});
type KeyFacts = z.output<typeof keyFactsShape>;

export interface BackupKeys {
  /** `part` is never the same twice under one salt; `name` is bound to the contents. */
  seal(part: number, name: string, plain: Buffer): Buffer;
  /** @throws when it was changed, or is of another place */
  open(part: number, name: string, sealed: Buffer): Buffer;
  sign(text: Buffer): Buffer;
}

const minPassphraseLength = 12;
const tagBytes = 16;
const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt);

/** @throws BrambleError ERR_BACKUP_PASSPHRASE when it is too short */
export async function newBackupKeys(passphrase: string): Promise<{ facts: KeyFacts; keys: BackupKeys }> {
  assertLongEnough(passphrase);
  const salt = randomBytes(16).toString('base64');
  const facts = { kdf: 'scrypt', salt, cost: 2 ** 17, blockSize: 8, check: '' } as const;
  const root = await rootOf(passphrase, facts);
  return { facts: { ...facts, check: subkey(root, 'check', 16).toString('base64') }, keys: keysOf(root) };
}

/** Of a new one. @throws BrambleError ERR_BACKUP_PASSPHRASE */
export function assertLongEnough(passphrase: string): void {
  if (passphrase.length >= minPassphraseLength) return;
  throw new BrambleError(
    'ERR_BACKUP_PASSPHRASE',
    `The passphrase has ${passphrase.length} characters; at least ${minPassphraseLength} are needed, since anyone who has ` +
      'the file may try any number.',
  );
}

/** @throws BrambleError ERR_BACKUP_PASSPHRASE when it is not that of the backup */
export async function backupKeysOf(passphrase: string, facts: KeyFacts): Promise<BackupKeys> {
  const root = await rootOf(passphrase, facts);
  if (isEqual(subkey(root, 'check', 16), Buffer.from(facts.check, 'base64'))) return keysOf(root);
  throw new BrambleError(
    'ERR_BACKUP_PASSPHRASE',
    'The passphrase is not the one that this backup was made with. Nothing was changed; without it the backup cannot be ' +
      'read.',
  );
}

export function isEqual(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

async function rootOf(passphrase: string, { salt, cost, blockSize }: KeyFacts): Promise<Buffer> {
  const maxmem = 128 * cost * blockSize + 1024 * 1024;
  return await derive(passphrase.normalize('NFC'), Buffer.from(salt, 'base64'), 32, {
    N: cost,
    r: blockSize,
    p: 1,
    maxmem,
  });
}

function subkey(root: Buffer, purpose: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', root, '', `bramble backup ${purpose}`, bytes));
}

function keysOf(root: Buffer): BackupKeys {
  const [parts, manifest] = [subkey(root, 'parts', 32), subkey(root, 'manifest', 32)];
  return {
    seal: (part, name, plain) => {
      const cipher = createCipheriv('aes-256-gcm', parts, nonceOf(part), { authTagLength: tagBytes });
      cipher.setAAD(Buffer.from(name));
      return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    },
    open: (part, name, sealed) => {
      const decipher = createDecipheriv('aes-256-gcm', parts, nonceOf(part), { authTagLength: tagBytes });
      decipher.setAAD(Buffer.from(name)).setAuthTag(sealed.subarray(-tagBytes));
      return Buffer.concat([decipher.update(sealed.subarray(0, -tagBytes)), decipher.final()]);
    },
    sign: (text) => createHmac('sha256', manifest).update(text).digest(),
  };
}

function nonceOf(part: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(part), 4);
  return nonce;
}
