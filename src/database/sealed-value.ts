/**
 * Values that the database holds encrypted: AES-256-GCM under a master key that lies outside the database.
 * Each ciphertext is bound to its place (table, column, row) by additional data: moved to another row, it does not open.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import { writeWholeFile } from './whole-file.ts';

/** The master keys of a domain by id; `current` seals, all of them open. */
export interface MasterKeys {
  readonly current: string;
  readonly keys: ReadonlyMap<string, Buffer>;
}

export const masterKeyFile = z.object({ current: z.string(), keys: z.record(z.string(), z.base64()) });

const nonceBytes = 12;
const tagBytes = 16;

/** Fresh keys with one random entry. */
export function createMasterKeys(): MasterKeys {
  // Never the same twice, or a rotation would overwrite the key that sealed everything.
  const id = `k${Date.now().toString(36)}${randomBytes(4).toString('hex')}`;
  return { current: id, keys: new Map([[id, randomBytes(32)]]) };
}

/** @throws BrambleError ERR_MASTER_KEY when the file is missing or not a key file. */
export async function readMasterKeys(path: string): Promise<MasterKeys> {
  try {
    const file = masterKeyFile.parse(JSON.parse(await readFile(path, 'utf8')));
    return {
      current: file.current,
      keys: new Map(Object.entries(file.keys).map(([id, key]) => [id, Buffer.from(key, 'base64')])),
    };
  } catch (cause) {
    throw new BrambleError(
      'ERR_MASTER_KEY',
      `The master key file ${path} cannot be read. Restore it from the backup.`,
      {
        cause,
      },
    );
  }
}

/** As the key file holds them. */
export function masterKeyContents(keys: MasterKeys): z.output<typeof masterKeyFile> {
  return {
    current: keys.current,
    keys: Object.fromEntries([...keys.keys].map(([id, key]) => [id, key.toString('base64')])),
  };
}

/** Writes the key file for its owner alone, whole or not at all; with `wx` it never overwrites one (EEXIST). */
export async function writeMasterKeys(path: string, keys: MasterKeys, flag: 'wx' | 'w' = 'wx'): Promise<void> {
  await writeWholeFile(path, `${JSON.stringify(masterKeyContents(keys))}\n`, flag);
}

/** Encrypts `plain` for `place`, such as `setting/push/privateKeyPem`. */
export function sealValue(keys: MasterKeys, place: string, plain: Uint8Array): { ciphertext: Buffer; keyId: string } {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', keyOf(keys, keys.current), nonce, { authTagLength: tagBytes }).setAAD(
    Buffer.from(place),
  );
  const body = Buffer.concat([cipher.update(plain), cipher.final()]);
  return { ciphertext: Buffer.concat([nonce, cipher.getAuthTag(), body]), keyId: keys.current };
}

/** @throws BrambleError ERR_MASTER_KEY for an unknown key id, ERR_SEALED_VALUE when it was changed or moved. */
export function openValue(keys: MasterKeys, place: string, ciphertext: Uint8Array, keyId: string): Buffer {
  const nonce = ciphertext.subarray(0, nonceBytes);
  const tag = ciphertext.subarray(nonceBytes, nonceBytes + tagBytes);
  try {
    const decipher = createDecipheriv('aes-256-gcm', keyOf(keys, keyId), nonce, { authTagLength: tagBytes })
      .setAAD(Buffer.from(place))
      .setAuthTag(tag);
    return Buffer.concat([decipher.update(ciphertext.subarray(nonceBytes + tagBytes)), decipher.final()]);
  } catch (cause) {
    if (cause instanceof BrambleError) throw cause;
    throw new BrambleError(
      'ERR_SEALED_VALUE',
      `The encrypted value of ${place} was modified, or copied from another row.`,
      {
        cause,
      },
    );
  }
}

function keyOf(keys: MasterKeys, id: string): Buffer {
  const key = keys.keys.get(id);
  if (!key) {
    throw new BrambleError(
      'ERR_MASTER_KEY',
      `The master key ${id} is not in the key file. Restore it from the backup.`,
    );
  }
  return key;
}
