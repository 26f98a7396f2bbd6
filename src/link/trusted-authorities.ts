/**
 * Which domain authorities a holder trusts. It begins with those in its own file; from there on the domain says so itself, in
 * numbered statements, each signed by an authority that is trusted already. Routers get them over their links, the others from
 * the database, which carries them and is not trusted with them.
 *
 * Invariant: nothing is trusted that an authority trusted before did not vouch for, and a statement of a lower number changes
 * nothing. Whoever was away goes through all of them, in order.
 */
import { createHash, type KeyObject, X509Certificate } from 'node:crypto';
import * as z from 'zod';
import { isBrambleError } from '../base/errors.ts';
import { envelopeShape, fingerprintShape, type SignedEnvelope } from './messages.ts';
import { openEnvelope } from './signed-envelope.ts';

const certificateShape = z.base64().max(4096);

export const trustStatementShape = z.object({
  purpose: z.literal('trusted domain authorities'),
  number: z.number().int().positive(),
  /** All that are trusted from now on, in DER. */
  trusted: z.array(certificateShape).min(1).max(4),
  /** Which of them issues. */
  issues: fingerprintShape,
  /** Certificates of later authorities by earlier ones: with them behind its own, a holder is trusted by who was away. */
  bridges: z.array(certificateShape).max(16),
});
export type TrustStatement = z.output<typeof trustStatementShape>;

/** Statements of a domain, in order, and as many as fit: a message of its own on the control stream of a link, which others follow. */
export const trustStatementsShape = z.object({ statements: z.array(envelopeShape).max(64) });

/** Each of some ten certificates: a message stays far below what a router reads. */
const statementsOfMessage = 16;

/** All statements of a domain as messages, in order. */
export function statementMessages(statements: readonly SignedEnvelope[]): z.output<typeof trustStatementsShape>[] {
  return Array.from({ length: Math.ceil(statements.length / statementsOfMessage) }, (_, at) => ({
    statements: statements.slice(at * statementsOfMessage, (at + 1) * statementsOfMessage),
  }));
}

/** What an instance pushes on its control stream: these statements, or a signed list of revocations. */
export type ControlMessage = z.output<typeof trustStatementsShape> | SignedEnvelope;

export interface Trust {
  /** Of the last statement; 0 before the first. */
  readonly number: number;
  /** In DER. */
  readonly authorities: readonly Buffer[];
  /** Fingerprint of the one that issues; null while no statement has said it. */
  readonly issues: string | null;
  readonly bridges: readonly Buffer[];
}

/** Before any statement. */
export function trustIn(roots: readonly Buffer[]): Trust {
  return { number: 0, authorities: roots, issues: null, bridges: [] };
}

/** What is trusted after a statement; null if it changes nothing: none of the trusted has signed it, or it was outrun. */
export function trustAfter(trust: Trust, envelope: SignedEnvelope): Trust | null {
  try {
    const statement = openEnvelope(envelope, trustStatementShape, keysOf(trust.authorities));
    const { number, issues } = statement;
    if (number <= trust.number) return null;
    return { number, issues, authorities: statement.trusted.map(der), bridges: statement.bridges.map(der) };
  } catch (error) {
    if (isBrambleError(error)) return null;
    throw error;
  }
}

/** What follows from all statements of the domain for who begins with these. */
export function trustFrom(roots: readonly Buffer[], statements: readonly SignedEnvelope[]): Trust {
  return statements.reduce<Trust>((trust, envelope) => trustAfter(trust, envelope) ?? trust, trustIn(roots));
}

const der = (text: string): Buffer => Buffer.from(text, 'base64');

export function keysOf(authorities: readonly Uint8Array[]): KeyObject[] {
  return authorities.map((certificate) => new X509Certificate(certificate).publicKey);
}

/** The certificates in a PEM file, in DER. */
export function certificatesIn(pem: string): Buffer[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => Buffer.from(new X509Certificate(block).raw));
}

export function pemOf(certificates: readonly Uint8Array[]): string {
  return certificates.map((certificate) => new X509Certificate(certificate).toString()).join('');
}

export function authorityFingerprint(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest('hex');
}

/** Fingerprint of the authority among these that issued the certificate; null if none did. */
export function issuerAmong(certificate: X509Certificate, authorities: readonly Uint8Array[]): string | null {
  const issuer = authorities.find((authority) => {
    const candidate = new X509Certificate(authority);
    return certificate.checkIssued(candidate) && certificate.verify(candidate.publicKey);
  });
  return issuer === undefined ? null : authorityFingerprint(issuer);
}
