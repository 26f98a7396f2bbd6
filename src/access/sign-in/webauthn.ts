/**
 * What WebAuthn asks a server to look at (W3C Level 3, 7.1 and 7.2), for passkeys without attestation: the browser itself takes the
 * key out of what the authenticator made, so nothing of CBOR, COSE or X.509 is read here.
 * Invariant: a ceremony is for this challenge, this origin and this host name, by an authenticator that has verified who is there.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { Assertion, Registration } from '../../api/passkeys.ts';
import { BrambleError } from '../../base/errors.ts';

/** By COSE's numbers: ES256, EdDSA, RS256. */
const algorithms: Readonly<Record<number, { fits(key: KeyObject): boolean; hash: string | null }>> = {
  [-7]: { fits: (key) => key.asymmetricKeyDetails?.namedCurve === 'prime256v1', hash: 'sha256' },
  [-8]: { fits: (key) => key.asymmetricKeyType === 'ed25519', hash: null },
  [-257]: { fits: (key) => (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048, hash: 'sha256' },
};

export const passkeyAlgorithms = [-8, -7, -257] as const;

export interface Ceremony {
  /** base64url, as it was sent. */
  readonly challenge: string;
  /** Of the page. */
  readonly origin: string;
  /** The host name of the page. */
  readonly rpId: string;
}

interface NewPasskey {
  credential: Buffer;
  publicKey: Buffer;
  algorithm: number;
  signCount: number;
  transports: string[];
}

interface StoredPasskey {
  readonly publicKey: Buffer;
  readonly algorithm: number;
}

const flag = { present: 0x01, verified: 0x04, hasCredential: 0x40 } as const;
/** Hash of the host name, flags, counter; then, with a credential, 16 bytes of its maker and its length. */
const headBytes = 37;
const lengthAt = 53;

/** @throws BrambleError ERR_PASSKEY */
export function readRegistration({ id, response }: Registration, ceremony: Ceremony): NewPasskey {
  checkClientData(response.clientDataJSON, 'webauthn.create', ceremony);
  const { data, signCount } = checkAuthenticator(response.authenticatorData, ceremony, flag.hasCredential);
  const credential = Buffer.from(id, 'base64url');
  const length = data.length >= lengthAt + 2 ? data.readUInt16BE(lengthAt) : 0;
  const made = data.subarray(lengthAt + 2, lengthAt + 2 + length);
  if (length === 0 || length > 1023 || !made.equals(credential)) throw refused('it names another credential');
  const publicKey = Buffer.from(response.publicKey, 'base64url');
  keyOf({ publicKey, algorithm: response.publicKeyAlgorithm });
  const { publicKeyAlgorithm: algorithm, transports } = response;
  return { credential, publicKey, algorithm, signCount, transports };
}

/** @returns the authenticator's counter. @throws BrambleError ERR_PASSKEY */
export function checkAssertion({ response }: Assertion, stored: StoredPasskey, ceremony: Ceremony): number {
  const clientData = checkClientData(response.clientDataJSON, 'webauthn.get', ceremony);
  const { data, signCount } = checkAuthenticator(response.authenticatorData, ceremony, 0);
  const signed = Buffer.concat([data, createHash('sha256').update(clientData).digest()]);
  const { key, hash } = keyOf(stored);
  if (!verify(hash, signed, key, Buffer.from(response.signature, 'base64url'))) throw refused('its signature is wrong');
  return signCount;
}

function checkClientData(text: string, type: string, { challenge, origin }: Ceremony): Buffer {
  const bytes = Buffer.from(text, 'base64url');
  let said: Record<string, unknown>;
  try {
    said = JSON.parse(bytes.toString()) as Record<string, unknown>;
  } catch {
    throw refused('what the browser says of it is not JSON');
  }
  if (said?.['type'] !== type) throw refused('it is for something else');
  if (said['challenge'] !== challenge) throw refused('it is for another request');
  if (said['origin'] !== origin || said['crossOrigin'] === true) throw refused('it is for another page');
  return bytes;
}

function checkAuthenticator(text: string, { rpId }: Ceremony, also: number): { data: Buffer; signCount: number } {
  const data = Buffer.from(text, 'base64url');
  if (data.length < headBytes) throw refused('what the authenticator says is too short');
  if (!data.subarray(0, 32).equals(createHash('sha256').update(rpId).digest())) throw refused('it is for another name');
  const wanted = flag.present | flag.verified | also;
  if (((data[32] ?? 0) & wanted) !== wanted) throw refused('the authenticator has not verified who is there');
  return { data, signCount: data.readUInt32BE(33) };
}

function keyOf({ publicKey, algorithm }: StoredPasskey): { key: KeyObject; hash: string | null } {
  const known = Object.hasOwn(algorithms, algorithm) ? algorithms[algorithm] : undefined;
  let key: KeyObject | undefined;
  try {
    key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  } catch {
    // Told below.
  }
  if (known === undefined || key === undefined || !known.fits(key))
    throw refused('its key is not of a kind that is known');
  return { key, hash: known.hash };
}

function refused(why: string): BrambleError {
  return new BrambleError('ERR_PASSKEY', `The passkey cannot be taken: ${why}.`);
}
