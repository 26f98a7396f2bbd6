/**
 * What a joining host and an administration service say to each other in the row of an invitation. The database carries it and
 * is not trusted with it.
 *
 * Protects: a request is proven by the invitation's secret, so that nobody without it can put a key of their own in; the answer
 * is encrypted under a key that needs both the host's fresh key and the secret, so that only the invited host can read it, and
 * only an administration service can have written it.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import { roleCredentialShape } from '../database/roles/role-credentials.ts';
import { masterKeyFile } from '../database/sealed-value.ts';

const der = z.base64().max(1024);

/** What the host asks; stored as text, over which the proof is made. */
export const joinRequestShape = z.object({
  invitation: z.uuid(),
  host: z.string().max(253),
  /** SubjectPublicKeyInfo (P-256): the host signs with it from now on. */
  publicKey: der,
  /** SubjectPublicKeyInfo (X25519), for this answer alone. */
  answerKey: der,
});
export type JoinRequest = z.output<typeof joinRequestShape>;

/** What the host gets: all that its home needs. */
export const joinAnswerShape = z.object({
  masterKeys: masterKeyFile,
  /** Of each kind of process that may run there; the supervisor's is always among them. */
  roles: z.record(z.string(), roleCredentialShape),
  /** Without user and password. */
  databaseUrl: z.string(),
  domainAuthorityPem: z.string(),
  release: z.string(),
  publicPort: z.number().int(),
  srpPort: z.number().int(),
  /** Whose releases the domain accepts. */
  signer: z.object({
    fingerprint: z.string().nullable(),
    unsigned: z.array(z.string()),
    refused: z.array(z.string()),
  }),
});
export type JoinAnswer = z.output<typeof joinAnswerShape>;

const nonceBytes = 12;
const tagBytes = 16;

export const newSecret = (): string => randomBytes(32).toString('base64url');

/** HMAC-SHA256 of the request's text, in base64url. */
export function proofOf(secret: string, request: string): string {
  return createHmac('sha256', Buffer.from(secret, 'base64url')).update(request).digest('base64url');
}

export function isProven(secret: string, request: string, proof: string): boolean {
  const expected = Buffer.from(proofOf(secret, request));
  const given = Buffer.from(proof);
  return expected.length === given.length && timingSafeEqual(expected, given);
}

/** The key of a request with which the host will sign, in DER. @throws BrambleError ERR_HOST_INVITATION for a key that is none */
export function hostKeyOf(publicKey: string): Buffer {
  const spki = Buffer.from(publicKey, 'base64');
  keyOf('ec', spki);
  return spki;
}

/** For `answerKey`. */
export const newAnswerKeys = () => generateKeyPairSync('x25519');

/** For administration services: encrypts to the request's key. @throws BrambleError ERR_HOST_INVITATION for a key that is none */
export function sealAnswer(secret: string, request: JoinRequest, answer: JoinAnswer): Buffer {
  const own = newAnswerKeys();
  const publicKey = own.publicKey.export({ format: 'der', type: 'spki' });
  const theirs = keyOf('x25519', Buffer.from(request.answerKey, 'base64'));
  const nonce = randomBytes(nonceBytes);
  const key = answerKeyOf(secret, request.invitation, { privateKey: own.privateKey, publicKey: theirs });
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes }).setAAD(publicKey);
  const body = Buffer.concat([cipher.update(JSON.stringify(answer)), cipher.final()]);
  return Buffer.concat([Buffer.from([publicKey.length]), publicKey, nonce, cipher.getAuthTag(), body]);
}

/** For the host. @throws BrambleError ERR_HOST_INVITATION when the answer was not made for it */
export function openAnswer(secret: string, invitation: string, privateKey: KeyObject, answer: Buffer): JoinAnswer {
  try {
    const nonceAt = 1 + (answer[0] ?? 0);
    const tagAt = nonceAt + nonceBytes;
    const bodyAt = tagAt + tagBytes;
    const publicKey = answer.subarray(1, nonceAt);
    const key = answerKeyOf(secret, invitation, { privateKey, publicKey: keyOf('x25519', publicKey) });
    const decipher = createDecipheriv('aes-256-gcm', key, answer.subarray(nonceAt, tagAt), { authTagLength: tagBytes })
      .setAAD(publicKey)
      .setAuthTag(answer.subarray(tagAt, bodyAt));
    const text = Buffer.concat([decipher.update(answer.subarray(bodyAt)), decipher.final()]).toString();
    return joinAnswerShape.parse(JSON.parse(text));
  } catch (cause) {
    throw new BrambleError(
      'ERR_HOST_INVITATION',
      'The answer to this host’s request was not made for it by an administration service of the domain. Invite the host again.',
      { cause },
    );
  }
}

function answerKeyOf(
  secret: string,
  invitation: string,
  keys: { privateKey: KeyObject; publicKey: KeyObject },
): Uint8Array {
  const salt = Buffer.from(secret, 'base64url');
  return new Uint8Array(hkdfSync('sha256', diffieHellman(keys), salt, `bramble join ${invitation}`, 32));
}

function keyOf(type: 'x25519' | 'ec', spki: Buffer): KeyObject {
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    if (key.asymmetricKeyType === type) return key;
  } catch {
    // Said below.
  }
  throw new BrambleError('ERR_HOST_INVITATION', 'The key of a host’s request cannot be used.');
}
