/** An authenticator as a browser shows it to a page: makes passkeys and signs with them, or does it wrong. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** What to do otherwise than an authenticator and a browser should. */
interface Wrong {
  origin?: string;
  type?: string;
  rpId?: string;
  /** Present, verified, with a credential. */
  flags?: number;
  crossOrigin?: boolean;
}

const kinds = {
  [-7]: () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }),
  [-8]: () => generateKeyPairSync('ed25519'),
  [-257]: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
} as const;

export function newAuthenticator(origin: string, algorithm: keyof typeof kinds = -7) {
  const id = randomBytes(20);
  const { publicKey, privateKey } = kinds[algorithm]() as { publicKey: KeyObject; privateKey: KeyObject };
  let counter = 0;
  const clientData = (type: string, challenge: string, wrong: Wrong) => {
    const { crossOrigin = false } = wrong;
    return Buffer.from(
      JSON.stringify({ type: wrong.type ?? type, challenge, origin: wrong.origin ?? origin, crossOrigin }),
    );
  };
  const head = (flags: number, { rpId = new URL(origin).hostname }: Wrong) => {
    const data = Buffer.alloc(37);
    createHash('sha256').update(rpId).digest().copy(data);
    data[32] = flags;
    data.writeUInt32BE(++counter, 33);
    return data;
  };
  return {
    make(challenge: string, wrong: Wrong = {}) {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(id.length);
      const data = Buffer.concat([head(wrong.flags ?? 0x45, wrong), Buffer.alloc(16), length, id]);
      return {
        ...{ id: id.toString('base64url'), type: 'public-key' },
        response: {
          clientDataJSON: clientData('webauthn.create', challenge, wrong).toString('base64url'),
          authenticatorData: data.toString('base64url'),
          publicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64url'),
          publicKeyAlgorithm: algorithm,
          transports: ['internal'],
        },
      };
    },
    sign(challenge: string, wrong: Wrong = {}) {
      const said = clientData('webauthn.get', challenge, wrong);
      const data = head(wrong.flags ?? 0x05, wrong);
      const signed = Buffer.concat([data, createHash('sha256').update(said).digest()]);
      return {
        ...{ id: id.toString('base64url'), type: 'public-key' },
        response: {
          clientDataJSON: said.toString('base64url'),
          authenticatorData: data.toString('base64url'),
          signature: sign(algorithm === -8 ? null : 'sha256', signed, privateKey).toString('base64url'),
        },
      };
    },
  };
}
