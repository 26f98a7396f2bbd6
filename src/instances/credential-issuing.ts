/**
 * How an administration service answers requests for SRP credentials (`credential-renewal.ts`).
 *
 * Protects: a certificate for an identifier goes only to a holder of a valid credential for it, or to the host on which its process is
 * to run.
 */
import { createPublicKey, X509Certificate } from 'node:crypto';
import type * as z from 'zod';
import { BrambleError, messageOf } from '../base/errors.ts';
import type { SrpIdentifier } from '../base/ids.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import type { Authority } from '../domain/authorities.ts';
import type { RouterAddress } from '../link/credential.ts';
import type { SignedEnvelope } from '../link/messages.ts';
import { openEnvelope, parseJson, parseMessage } from '../link/signed-envelope.ts';
import { credentialRequestShape, firstCredentialRequestShape } from './credential-requests.ts';
import { insertSrpCredential, insertSrpSuccessor } from './srp-credential-store.ts';
import { certifySrpKey } from './srp-credentials.ts';

/** What the administration knows of a host that asks for a first credential. */
interface HostFacts {
  /** SubjectPublicKeyInfo; undefined where no such host has joined. */
  hostKey(tx: Transaction, host: string): Promise<Buffer | undefined>;
  /** Whether a process with this identifier is to run there. */
  isPlaced(tx: Transaction, identifier: SrpIdentifier, host: string): Promise<boolean>;
  routers(tx: Transaction): Promise<RouterAddress[]>;
}

/** Answered in one transaction. */
const maxRequests = 16;

/**
 * Answers open requests; for an administration service. Returns the answered identifiers, with the reason if refused. A
 * concurrent call skips the rows that this transaction holds.
 */
export async function answerRenewals(
  tx: Transaction,
  authority: () => Promise<Authority>,
  hosts: HostFacts,
): Promise<{ identifier: string; refusal: string | null }[]> {
  const open = await tx<(SignedEnvelope & { identifier: SrpIdentifier })[]>`
    select identifier, payload, signature from srp_renewal
     where answered_at is null order by requested_at limit ${maxRequests} for update skip locked`;
  const answered = [];
  for (const { identifier, ...envelope } of open) {
    const answer = await certify(tx, await authority(), { identifier, envelope }, hosts);
    const refusal = 'refusal' in answer ? answer.refusal : null;
    await tx`
      update srp_renewal set answered_at = clock_timestamp(), refusal = ${refusal},
             certificate = ${'certificateDer' in answer ? answer.certificateDer : null},
             routers = ${'routers' in answer ? tx.json(answer.routers as never) : null}
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

interface Request {
  identifier: SrpIdentifier;
  envelope: SignedEnvelope;
}
type Certified = { certificateDer: Buffer; routers?: RouterAddress[] } | { refusal: string };

async function certify(tx: Transaction, authority: Authority, request: Request, hosts: HostFacts): Promise<Certified> {
  try {
    const claimed = parseJson(Buffer.from(request.envelope.payload, 'base64').toString());
    const first = firstCredentialRequestShape.safeParse(claimed);
    if (first.success) return await certifyFirst(tx, authority, { ...request, host: first.data.host }, hosts);
    return await certifySuccessor(tx, authority, request, parseMessage(credentialRequestShape, claimed));
  } catch (error) {
    // A fault in a request refuses that request; a database error ends the transaction.
    if (error instanceof BrambleError) return { refusal: messageOf(error) };
    throw error;
  }
}

async function certifyFirst(
  tx: Transaction,
  authority: Authority,
  { identifier, envelope, host }: Request & { host: string },
  hosts: HostFacts,
): Promise<Certified> {
  const hostKey = await hosts.hostKey(tx, host);
  if (hostKey === undefined) return { refusal: `no host ${host} has joined the domain` };
  const key = createPublicKey({ key: hostKey, format: 'der', type: 'spki' });
  const proven = openEnvelope(envelope, firstCredentialRequestShape, key);
  if (proven.identifier !== identifier) return { refusal: 'it is for another identifier' };
  if (!(await hosts.isPlaced(tx, identifier, host)))
    return { refusal: `its process is not to run on the host ${host}` };
  const issued = certifySrpKey({
    identifier,
    authority,
    publicKeySpkiDer: Buffer.from(proven.publicKey, 'base64'),
    now: await databaseTime(tx),
  });
  if (!(await insertSrpCredential(tx, issued))) return { refusal: 'nothing has this identifier, or it is retired' };
  return { certificateDer: Buffer.from(issued.certificateDer), routers: await hosts.routers(tx) };
}

async function certifySuccessor(
  tx: Transaction,
  authority: Authority,
  { identifier, envelope }: Request,
  claimed: z.output<typeof credentialRequestShape>,
): Promise<Certified> {
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
  const issued = certifySrpKey({
    identifier,
    authority,
    publicKeySpkiDer: Buffer.from(publicKey, 'base64'),
    now: await databaseTime(tx),
  });
  if (!(await insertSrpSuccessor(tx, claimed.presentSerial, issued))) return unusable;
  return { certificateDer: Buffer.from(issued.certificateDer) };
}
