/**
 * Statements of the domain, carried by an instance: bytes and the domain authority's signature over exactly these
 * bytes.
 *
 * Invariant: a payload is parsed only after its signature was verified.
 */
import { type KeyObject, sign, verify, X509Certificate } from 'node:crypto';
import type * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import { parseShallowJson } from '../base/shallow-json.ts';
import { routeSignerPurpose } from '../protocol/x509/certificate.ts';
import { envelopeShape, type RouteEnvelope, routeEnvelopeShape, type SignedEnvelope } from './messages.ts';

/** Signs a JSON value with the domain authority's key (ECDSA P-256, SHA-256, DER). */
export function signEnvelope(value: unknown, authorityKey: KeyObject | string): SignedEnvelope {
  const payload = Buffer.from(JSON.stringify(value));
  return { payload: payload.toString('base64'), signature: sign('sha256', payload, authorityKey).toString('base64') };
}

/** Signs an answer about routes: `signerCertificateDer` is included if the signer is not the domain authority. */
export function signRoutes(value: unknown, key: KeyObject | string, signerCertificateDer?: Uint8Array): RouteEnvelope {
  const envelope = signEnvelope(value, key);
  return signerCertificateDer === undefined
    ? envelope
    : { ...envelope, signer: Buffer.from(signerCertificateDer).toString('base64') };
}

/** Of the domain authority, and during its rollover of both. */
export type AuthorityKeys = KeyObject | readonly KeyObject[];

function listOf(keys: AuthorityKeys): readonly KeyObject[] {
  return Array.isArray(keys) ? (keys as readonly KeyObject[]) : [keys as KeyObject];
}

/**
 * The value in an envelope.
 * @throws BrambleError ERR_LINK_SIGNATURE when the domain authority did not sign it, ERR_LINK_MESSAGE when the signed
 *   content has another shape.
 */
export function openEnvelope<Shape extends z.ZodType>(
  envelope: unknown,
  shape: Shape,
  authorityKeys: AuthorityKeys,
): z.output<Shape> {
  const { payload, signature } = parseMessage(envelopeShape, envelope) satisfies SignedEnvelope;
  const bytes = Buffer.from(payload, 'base64');
  const signed = Buffer.from(signature, 'base64');
  if (!listOf(authorityKeys).some((key) => verify('sha256', bytes, key, signed))) {
    throw new BrambleError(
      'ERR_LINK_SIGNATURE',
      'A signed message of the SRP link was not signed by the domain authority and is rejected.',
    );
  }
  return parseMessage(shape, parseJson(bytes.toString()));
}

/**
 * An answer about routes, signed by the domain authority or by its route signer, unless that one is revoked. The route
 * signer may sign nothing else.
 * @throws BrambleError ERR_LINK_SIGNATURE, ERR_LINK_MESSAGE as {@link openEnvelope}.
 */
export function openRoutes<Shape extends z.ZodType>(
  answer: unknown,
  shape: Shape,
  authorityKeys: AuthorityKeys,
  isRevoked: (serial: string) => boolean,
): z.output<Shape> {
  const { signer, ...envelope } = parseMessage(routeEnvelopeShape, answer);
  const keys = signer === undefined ? authorityKeys : routeSignerKey(signer, authorityKeys, isRevoked);
  return openEnvelope(envelope, shape, keys);
}

function routeSignerKey(
  signer: string,
  authorityKeys: AuthorityKeys,
  isRevoked: (serial: string) => boolean,
): KeyObject {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(Buffer.from(signer, 'base64'));
  } catch (cause) {
    throw messageError('the certificate of its signer cannot be read', cause);
  }
  const now = Date.now();
  const isRouteSigner =
    listOf(authorityKeys).some((key) => certificate.verify(key)) &&
    !certificate.ca &&
    certificate.keyUsage?.length === 1 &&
    certificate.keyUsage[0] === routeSignerPurpose &&
    certificate.validFromDate.getTime() <= now &&
    now < certificate.validToDate.getTime() &&
    !isRevoked(certificate.serialNumber);
  if (isRouteSigner) return certificate.publicKey;
  throw new BrambleError(
    'ERR_LINK_SIGNATURE',
    'A routing answer was not signed by a route signer of the domain authority and is rejected.',
  );
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
    return parseShallowJson(text);
  } catch (cause) {
    throw messageError('it is not JSON', cause);
  }
}

function messageError(reason: string, cause: unknown): BrambleError {
  return new BrambleError('ERR_LINK_MESSAGE', `A message of the SRP link is malformed: ${reason}.`, {
    cause,
  });
}
