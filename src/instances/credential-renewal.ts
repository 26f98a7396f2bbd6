/**
 * How the holder of an SRP identifier gets its credential: it generates a key and files a request in the database; an
 * administration service answers there (`credential-issuing.ts`). A successor's request is signed with the present credential, that
 * for the first credential on a host that joined with the host's key.
 *
 * Protects: instances and connection services do not need the domain authority's key, and the private key never leaves its holder.
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import type * as z from 'zod';
import { type Clock, systemClock } from '../base/clock.ts';
import { BrambleError } from '../base/errors.ts';
import type { Database, Queryable } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import { credentialShape, type SrpCredential } from '../link/credential.ts';
import { identifierShape, type SignedEnvelope } from '../link/messages.ts';
import { signEnvelope } from '../link/signed-envelope.ts';
import { issuerAmong, pemOf, type Trust } from '../link/trusted-authorities.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import type { credentialRequestShape, firstCredentialRequestShape } from './credential-requests.ts';
import { trustOf } from './holder-trust.ts';
import { isSrpRenewalDue, srpCredentialSerial } from './srp-credentials.ts';

/** A host that joined, as its home knows it. */
interface JoinedHost {
  name: string;
  privateKeyPem: string;
  domainAuthorityPem: string;
}

const askAgainMs = 2000;

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
