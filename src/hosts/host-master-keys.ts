/**
 * A new master key on its way to a host that joined. The database carries it and is not trusted with it.
 *
 * Protects: it is encrypted to the host's own key, which never leaves the host, so that neither the database nor a thief of
 * the present master key can read it; and signed by the domain authority together with host and key id, so that nobody
 * has a host seal by a key of theirs.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { openEnvelope, parseJson } from '../link/signed-envelope.ts';
import { keysOf } from '../link/trusted-authorities.ts';
import { readHostKey } from './host-key.ts';
import { hostTrust } from './host-trust.ts';

export const sealedKeyShape = z.object({
  purpose: z.literal('master key for a host'),
  host: z.string(),
  keyId: z.string(),
  /** SubjectPublicKeyInfo (P-256), made for this alone. */
  publicKey: z.base64(),
  nonce: z.base64(),
  ciphertext: z.base64(),
});
type SealedKey = z.output<typeof sealedKeyShape>;

const tagBytes = 16;

/**
 * The key of this id that was offered to this host; undefined on a host that did not join, or while nothing is offered.
 * @throws BrambleError ERR_MASTER_KEY when it was not made for this host by an administration service of its domain
 */
export async function offeredMasterKey(
  q: Queryable,
  { home, host, keyId }: { home: string; host: string; keyId: string },
): Promise<Buffer | undefined> {
  const own = await readHostKey(home);
  if (own === null) return undefined;
  const [row] = await q<{ envelope: string }[]>`
    select envelope from host_master_key where host = ${host} and key_id = ${keyId}`;
  if (row === undefined) return undefined;
  const { authorities } = await hostTrust(q, own);
  try {
    const sealed = openEnvelope(parseJson(row.envelope), sealedKeyShape, keysOf(authorities));
    if (sealed.host !== host || sealed.keyId !== keyId)
      throw new TypeError('it is for another host, or of another key');
    return openedWith(createPrivateKey(own.privateKeyPem), sealed);
  } catch (cause) {
    throw new BrambleError(
      'ERR_MASTER_KEY',
      `The master key ${keyId} that was sent to this host was not made for it by an administration service of the domain. ` +
        'Bring keys/master.json from the home where the key was made.',
      { cause },
    );
  }
}

/** @param hostKey SubjectPublicKeyInfo */
export function sealedFor(host: string, hostKey: Buffer, { keyId, key }: { keyId: string; key: Buffer }): SealedKey {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const theirs = createPublicKey({ key: hostKey, format: 'der', type: 'spki' });
  const nonce = randomBytes(12);
  const secret = secretOf(own.privateKey, theirs, { host, keyId });
  const cipher = createCipheriv('aes-256-gcm', secret, nonce, { authTagLength: tagBytes });
  const body = Buffer.concat([cipher.update(key), cipher.final(), cipher.getAuthTag()]);
  return {
    ...{ purpose: 'master key for a host', host, keyId },
    publicKey: own.publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
    nonce: nonce.toString('base64'),
    ciphertext: body.toString('base64'),
  };
}

function openedWith(privateKey: KeyObject, sealed: SealedKey): Buffer {
  const theirs = createPublicKey({ key: Buffer.from(sealed.publicKey, 'base64'), format: 'der', type: 'spki' });
  const body = Buffer.from(sealed.ciphertext, 'base64');
  const end = body.length - tagBytes;
  const secret = secretOf(privateKey, theirs, sealed);
  const decipher = createDecipheriv('aes-256-gcm', secret, Buffer.from(sealed.nonce, 'base64'), {
    authTagLength: tagBytes,
  });
  decipher.setAuthTag(body.subarray(end));
  return Buffer.concat([decipher.update(body.subarray(0, end)), decipher.final()]);
}

/** Another purpose than the signatures that the host's key makes, so another key. */
function secretOf(
  privateKey: KeyObject,
  publicKey: KeyObject,
  { host, keyId }: { host: string; keyId: string },
): Uint8Array {
  const info = `bramble master key ${keyId} for ${host}`;
  return new Uint8Array(hkdfSync('sha256', diffieHellman({ privateKey, publicKey }), '', info, 32));
}
