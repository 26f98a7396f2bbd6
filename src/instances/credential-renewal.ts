/**
 * How a holder of an SRP credential gets its successor: it generates a key and files a request in the database, signed with
 * the present credential; an administration service answers there.
 *
 * Protects: instances and connection services do not need the domain authority's key, and a certificate for an identifier
 * goes only to a holder of a valid credential for it. The private key never leaves its holder.
 */
import { X509Certificate } from 'node:crypto';
import * as z from 'zod';
import { type Clock, systemClock } from '../base/clock.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import type { SrpIdentifier } from '../base/ids.ts';
import type { Database, Queryable, Transaction } from '../database/connection.ts';
import type { Authority } from '../domain/authorities.ts';
import { credentialShape, type SrpCredential } from '../link/credential.ts';
import { identifierShape, type SignedEnvelope } from '../link/messages.ts';
import { openEnvelope, parseJson, parseMessage, signEnvelope } from '../link/signed-envelope.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { insertSrpSuccessor } from './srp-credential-store.ts';
import { certifySrpKey, isSrpRenewalDue, srpCredentialSerial } from './srp-credentials.ts';

/** A holder's request for the successor of its credential. */
export const credentialRequestShape = z.object({
  identifier: identifierShape,
  presentSerial: z.string().regex(/^[0-9a-f]{1,40}$/),
  /** SubjectPublicKeyInfo in DER. */
  publicKey: z.base64().max(1024),
});

const askAgainMs = 2000;
/** Answered in one transaction. */
const maxRequests = 16;

/** What `keepCredentialFresh` needs from the directory. */
export function credentialRenewal(db: Database, clock: Clock = systemClock) {
  return {
    isDue: isSrpRenewalDue,
    renew: async (present: SrpCredential, signal: AbortSignal): Promise<SrpCredential> => {
      const keys = await createEcKeyPair();
      const request: z.input<typeof credentialRequestShape> = {
        identifier: present.identifier,
        presentSerial: srpCredentialSerial(present),
        publicKey: spkiDerOf(keys.publicKey).toString('base64'),
      };
      const envelope = signEnvelope(request, present.privateKeyPem);
      await storeRequest(db, present.identifier, envelope);
      for (;;) {
        const answer = await readAnswer(db, present.identifier, envelope);
        if (answer.kind === 'certificate') {
          const certificatePem = new X509Certificate(answer.certificate).toString();
          return credentialShape.parse({ ...present, certificatePem, privateKeyPem: privateKeyPemOf(keys.privateKey) });
        }
        if (answer.kind === 'refused') throw renewalError(present.identifier, answer.reason);
        // There may be no running administration service for a while. The key stays in this process meanwhile.
        await clock.sleep(askAgainMs, signal);
      }
    },
  };
}

/**
 * Answers open requests; for an administration service. Returns the answered identifiers, with the reason if refused. A
 * concurrent call skips the rows that this transaction holds.
 */
export async function answerRenewals(
  tx: Transaction,
  authority: () => Promise<Authority>,
): Promise<{ identifier: string; refusal: string | null }[]> {
  const open = await tx<(SignedEnvelope & { identifier: SrpIdentifier })[]>`
    select identifier, payload, signature from srp_renewal
     where answered_at is null order by requested_at limit ${maxRequests} for update skip locked`;
  const answered = [];
  for (const { identifier, ...envelope } of open) {
    const answer = await certifySuccessor(tx, await authority(), identifier, envelope);
    const refusal = 'refusal' in answer ? answer.refusal : null;
    await tx`
      update srp_renewal set answered_at = clock_timestamp(), refusal = ${refusal},
             certificate = ${'certificateDer' in answer ? answer.certificateDer : null}
       where identifier = ${identifier}`;
    answered.push({ identifier, refusal });
  }
  return answered;
}

/** Whether one is open, without a transaction. */
export async function hasOpenRenewal(q: Queryable): Promise<boolean> {
  const rows = await q`select 1 from srp_renewal where answered_at is null limit 1`;
  return rows.length > 0;
}

async function certifySuccessor(
  tx: Transaction,
  authority: Authority,
  identifier: SrpIdentifier,
  envelope: SignedEnvelope,
): Promise<{ certificateDer: Buffer } | { refusal: string }> {
  try {
    const claimed = parseMessage(credentialRequestShape, parseJson(Buffer.from(envelope.payload, 'base64').toString()));
    if (claimed.identifier !== identifier) return { refusal: 'it is for another identifier' };
    const [present] = await tx<{ certificate: Buffer }[]>`
      select certificate from srp_credential
       where serial = ${claimed.presentSerial} and identifier = ${identifier} and revoked_at is null
         and expires_at > clock_timestamp()`;
    const unusable = { refusal: 'the present credential is unknown, revoked or expired' };
    if (present === undefined) return unusable;
    const { publicKey } = openEnvelope(
      envelope,
      credentialRequestShape,
      new X509Certificate(present.certificate).publicKey,
    );
    const issued = certifySrpKey({ identifier, authority, publicKeySpkiDer: Buffer.from(publicKey, 'base64') });
    if (!(await insertSrpSuccessor(tx, claimed.presentSerial, issued))) return unusable;
    return { certificateDer: Buffer.from(issued.certificateDer) };
  } catch (error) {
    // A fault in a request refuses that request; a database error ends the transaction.
    if (error instanceof BrambleError) return { refusal: messageOf(error) };
    throw error;
  }
}

async function storeRequest(q: Queryable, identifier: string, envelope: SignedEnvelope): Promise<void> {
  await q`
    insert into srp_renewal (identifier, payload, signature)
    values (${identifier}, ${envelope.payload}, ${envelope.signature})
    on conflict (identifier) do update
       set payload = excluded.payload, signature = excluded.signature, requested_at = clock_timestamp(),
           answered_at = null, certificate = null, refusal = null`;
}

type Answer = { kind: 'open' } | { kind: 'certificate'; certificate: Buffer } | { kind: 'refused'; reason: string };

async function readAnswer(q: Queryable, identifier: string, envelope: SignedEnvelope): Promise<Answer> {
  const [row] = await q<{ own: boolean; certificate: Buffer | null; refusal: string | null }[]>`
    select signature = ${envelope.signature} as own, certificate, refusal from srp_renewal where identifier = ${identifier}`;
  if (!row?.own) return { kind: 'refused', reason: 'another process with this identifier made a later request' };
  if (row.certificate !== null) return { kind: 'certificate', certificate: row.certificate };
  return row.refusal === null ? { kind: 'open' } : { kind: 'refused', reason: row.refusal };
}

function renewalError(identifier: string, reason: string): BrambleError {
  return new BrambleError(
    'ERR_SRP_RENEWAL',
    `The SRP credential of ${identifier} cannot be renewed: ${reason}. Issue another one with \`bramble srp issue ${identifier}\`.`,
    { details: { identifier } },
  );
}
