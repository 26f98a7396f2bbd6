/** The name of a signer for people and for the domain: the SHA-256 of its public key (SPKI, DER), in eight groups of hex. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';

/** `3f2a9c01:…`: such that nothing takes it for a secret, and two of them can be compared by eye. */
export function fingerprintOf(publicKey: KeyObject): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return inGroups(createHash('sha256').update(spki).digest('hex'));
}

/** Parses a typed fingerprint: in any case, with or without separators. Undefined when invalid. */
export function typedFingerprint(text: string): string | undefined {
  const digits = text
    .trim()
    .replaceAll(/[:\s-]/g, '')
    .toLowerCase();
  return /^[0-9a-f]{64}$/.test(digits) ? inGroups(digits) : undefined;
}

/** A SHA-256 in the form that is shown and stored: the audit hides plain hex, which looks like a secret. */
export function inGroups(hex: string): string {
  return hex.match(/.{8}/g)?.join(':') ?? '';
}

/** The raw 32 octets in base64, as in a signature. @throws TypeError for anything else */
export function publicKeyFromText(text: string): KeyObject {
  const x = Buffer.from(text, 'base64');
  if (x.length !== 32) throw new TypeError('an Ed25519 key has 32 octets');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') }, format: 'jwk' });
}

export function publicKeyText(publicKey: KeyObject): string {
  const { x } = publicKey.export({ format: 'jwk' });
  return Buffer.from(x ?? '', 'base64url').toString('base64');
}
