/**
 * How the holder of an SRP identifier gets its credential: it generates a key and files a request in the database; an
 * administration service answers there. A successor's request is signed with the present credential, that for the first
 * credential on a host that joined with the host's key.
 *
 * Protects: instances and connection services do not need the domain authority's key, and a certificate for an identifier
 * goes only to a holder of a valid credential for it, or to the host on which its process is to run. The private key never
 * leaves its holder.
 */
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import * as z from 'zod';
import { type Clock, systemClock } from '../base/clock.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import type { SrpIdentifier } from '../base/ids.ts';
import type { Database, Queryable, Transaction } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import type { Authority } from '../domain/authorities.ts';
import { credentialShape, type RouterAddress, type SrpCredential } from '../link/credential.ts';
import { identifierShape, type SignedEnvelope } from '../link/messages.ts';
import { openEnvelope, parseJson, parseMessage, signEnvelope } from '../link/signed-envelope.ts';
import { issuerAmong, pemOf, type Trust } from '../link/trusted-authorities.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { trustOf } from './holder-trust.ts';
import { insertSrpCredential, insertSrpSuccessor } from './srp-credential-store.ts';
import { certifySrpKey, isSrpRenewalDue, srpCredentialSerial } from './srp-credentials.ts';

/** A holder's request for the successor of its credential. */
export const credentialRequestShape = z.object({
  identifier: identifierShape,
  presentSerial: z.string().regex(/^[0-9a-f]{1,40}$/),
  /** SubjectPublicKeyInfo in DER. */
  publicKey: z.base64().max(1024),
});

/** Of a process on a host that joined, for its first credential. */
export const firstCredentialRequestShape = z.object({
  identifier: identifierShape,
  host: z.string().max(253),
  /** SubjectPublicKeyInfo in DER. */
  publicKey: z.base64().max(1024),
});

/** What the administration knows of a host that asks for a first credential. */
interface HostFacts {
  /** SubjectPublicKeyInfo; undefined where no such host has joined. */
  hostKey(tx: Transaction, host: string): Promise<Buffer | undefined>;
  /** Whether a process with this identifier is to run there. */
  isPlaced(tx: Transaction, identifier: SrpIdentifier, host: string): Promise<boolean>;
  routers(tx: Transaction): Promise<RouterAddress[]>;
}

/** A host that joined, as its home knows it. */
interface JoinedHost {
  name: string;
  privateKeyPem: string;
  domainAuthorityPem: string;
}

const askAgainMs = 2000;
/** Answered in one transaction. */
const maxRequests = 16;

/** What a holder's upkeep needs from the directory. */
export function credentialRenewal(db: Database, clock: Clock = systemClock) {
  const trust = async (domainAuthorityPem: string): Promise<Trust> => await trustOf(db, domainAuthorityPem);
  return {
    trust,
    /** By the clock that it was issued by: to one that is behind it would never begin to be valid. */
    isDue: async (present: SrpCredential): Promise<boolean> => {
      if (isSrpRenewalDue(present, await databaseTime(db))) return true;
      const { authorities, issues } = await trust(present.domainAuthorityPem);
      return issues !== null && issuerAmong(new X509Certificate(present.certificatePem), authorities) !== issues;
    },
    renew: async (present: SrpCredential, signal: AbortSignal): Promise<SrpCredential> => {
      const keys = await createEcKeyPair();
      const request: z.input<typeof credentialRequestShape> = {
        identifier: present.identifier,
        presentSerial: srpCredentialSerial(present),
        publicKey: spkiDerOf(keys.publicKey).toString('base64'),
      };
      const envelope = signEnvelope(request, present.privateKeyPem);
      const { certificate } = await askFor(db, present.identifier, envelope, { clock, signal });
      const { authorities, bridges } = await trust(present.domainAuthorityPem);
      assertIssuedFor(certificate, keys.privateKey, authorities);
      const certificatePem = pemOf([certificate, ...bridges]);
      return credentialShape.parse({ ...present, certificatePem, privateKeyPem: privateKeyPemOf(keys.privateKey) });
    },
  };
}

/** The first credential of a process on a host that joined; waits for an administration service. @throws BrambleError ERR_SRP_RENEWAL */
export async function requestFirstCredential(
  db: Database,
  identifier: string,
  host: JoinedHost,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<SrpCredential> {
  const keys = await createEcKeyPair();
  const request: z.input<typeof firstCredentialRequestShape> = {
    identifier: identifierShape.parse(identifier),
    host: host.name,
    publicKey: spkiDerOf(keys.publicKey).toString('base64'),
  };
  const envelope = signEnvelope(request, host.privateKeyPem);
  const { certificate, routers } = await askFor(db, identifier, envelope, { clock, signal });
  assertIssuedFor(certificate, keys.privateKey, (await trustOf(db, host.domainAuthorityPem)).authorities);
  return credentialShape.parse({
    ...{ identifier, routers, domainAuthorityPem: host.domainAuthorityPem },
    certificatePem: new X509Certificate(certificate).toString(),
    privateKeyPem: privateKeyPemOf(keys.privateKey),
  });
}

/**
 * The database carries the answer and is not trusted with it: nobody but a domain authority issues for a key that has not left this process.
 * @throws BrambleError ERR_SRP_RENEWAL
 */
function assertIssuedFor(certificateDer: Buffer, key: KeyObject, authorities: readonly Uint8Array[]): void {
  const certificate = new X509Certificate(certificateDer);
  if (certificate.checkPrivateKey(key) && issuerAmong(certificate, authorities) !== null) return;
  throw new BrambleError(
    'ERR_SRP_RENEWAL',
    'The certificate in the answer was not issued for this process’s key by an authority of the domain. Somebody changed it in the ' +
      'database; it is asked for again.',
  );
}

/** Files the request and waits for its answer. @throws BrambleError ERR_SRP_RENEWAL */
async function askFor(
  db: Database,
  identifier: string,
  envelope: SignedEnvelope,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<{ certificate: Buffer; routers: unknown }> {
  await storeRequest(db, identifier, envelope);
  for (;;) {
    const answer = await readAnswer(db, identifier, envelope);
    if (answer.kind === 'certificate') return answer;
    if (answer.kind === 'refused') throw renewalError(identifier, answer.reason);
    // There may be no running administration service for a while. The key stays in this process meanwhile.
    await clock.sleep(askAgainMs, signal);
  }
}

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

async function storeRequest(q: Queryable, identifier: string, envelope: SignedEnvelope): Promise<void> {
  await q`
    insert into srp_renewal (identifier, payload, signature)
    values (${identifier}, ${envelope.payload}, ${envelope.signature})
    on conflict (identifier) do update
       set payload = excluded.payload, signature = excluded.signature, requested_at = clock_timestamp(),
           answered_at = null, certificate = null, refusal = null`;
}

type Answer =
  | { kind: 'open' }
  | { kind: 'certificate'; certificate: Buffer; routers: unknown }
  | { kind: 'refused'; reason: string };

async function readAnswer(q: Queryable, identifier: string, envelope: SignedEnvelope): Promise<Answer> {
  const [row] = await q<{ own: boolean; certificate: Buffer | null; routers: unknown; refusal: string | null }[]>`
    select signature = ${envelope.signature} as own, certificate, to_jsonb(r) -> 'routers' as routers, refusal
      from srp_renewal r where identifier = ${identifier}`;
  if (!row?.own) return { kind: 'refused', reason: 'another process with this identifier made a later request' };
  if (row.certificate !== null) return { kind: 'certificate', certificate: row.certificate, routers: row.routers };
  return row.refusal === null ? { kind: 'open' } : { kind: 'refused', reason: row.refusal };
}

function renewalError(identifier: string, reason: string): BrambleError {
  return new BrambleError(
    'ERR_SRP_RENEWAL',
    `No SRP credential was issued to the holder of ${identifier}: ${reason}. Issue another one with \`bramble srp issue ${identifier}\`.`,
    { details: { identifier } },
  );
}
