/**
 * What the domain says through an instance: bytes and the domain authority's signature over exactly these bytes.
 *
 * Invariant: a payload is parsed only after its signature was verified.
 */
import { type KeyObject, sign, verify, X509Certificate } from 'node:crypto';
import type { z } from 'zod';
import { BrambleError } from '../base/errors.ts';
import { envelopeShape, type SignedEnvelope } from './messages.ts';

/** Signs a JSON value with the domain authority's key (ECDSA P-256, SHA-256, DER). */
export function signEnvelope(value: unknown, authorityKey: KeyObject | string): SignedEnvelope {
  const payload = Buffer.from(JSON.stringify(value));
  return { payload: payload.toString('base64'), signature: sign('sha256', payload, authorityKey).toString('base64') };
}

/** The domain authority's public key, out of its certificate. */
export function authorityKeyOf(domainAuthorityPem: string): KeyObject {
  return new X509Certificate(domainAuthorityPem).publicKey;
}

/**
 * The value in an envelope.
 * @throws BrambleError ERR_LINK_SIGNATURE when the domain authority did not sign it, ERR_LINK_MESSAGE when what it
 *   signed has another shape.
 */
export function openEnvelope<Shape extends z.ZodType>(
  envelope: unknown,
  shape: Shape,
  authorityKey: KeyObject,
): z.output<Shape> {
  const { payload, signature } = parseMessage(envelopeShape, envelope) satisfies SignedEnvelope;
  const bytes = Buffer.from(payload, 'base64');
  if (!verify('sha256', bytes, authorityKey, Buffer.from(signature, 'base64'))) {
    throw new BrambleError(
      'ERR_LINK_SIGNATURE',
      'A signed message of the SRP link was not signed by the domain authority; it is not believed.',
    );
  }
  return parseMessage(shape, parseJson(bytes.toString()));
}

/** @throws BrambleError ERR_LINK_MESSAGE */
export function parseMessage<Shape extends z.ZodType>(shape: Shape, value: unknown): z.output<Shape> {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  throw messageError(parsed.error.issues[0]?.message ?? 'unknown', parsed.error);
}

/** @throws BrambleError ERR_LINK_MESSAGE */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw messageError('it is not JSON', cause);
  }
}

function messageError(reason: string, cause: unknown): BrambleError {
  return new BrambleError('ERR_LINK_MESSAGE', `A message of the SRP link does not have its shape: ${reason}.`, {
    cause,
  });
}
