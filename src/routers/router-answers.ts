/**
 * An administration service certifies the keys of routers on hosts that joined.
 *
 * Protects: a certificate of a router goes only to the host on which the domain wants that router, proven by the host's key; and
 * nobody dials a router before it has one.
 */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { BrambleError, messageOf } from '../base/errors.ts';
import type { Queryable, Transaction } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import type { Authority } from '../domain/authorities.ts';
import { readDomain } from '../domain/domain.ts';
import { hostKey } from '../hosts/hosts.ts';
import type { SignedEnvelope } from '../link/messages.ts';
import { openEnvelope } from '../link/signed-envelope.ts';
import { listensOnlyForItself } from './router-addresses.ts';
import { issueRouterCertificate } from './router-certificate.ts';
import { type RouterRequest, routerRequestShape } from './router-request.ts';

/** Answered in one transaction. */
const maxRequests = 16;

/** Whether one is open, without a transaction. */
export async function hasOpenRouterRequest(q: Queryable): Promise<boolean> {
  const rows = await q`select 1 from router_request where answered_at is null limit 1`;
  return rows.length > 0;
}

interface OpenRequest extends SignedEnvelope {
  name: string;
  host: string;
  linkHost: string;
  serverName: string;
}

/** Returns the routers that were answered, with the reason if refused. A concurrent call skips those that this transaction holds. */
export async function answerRouterRequests(
  tx: Transaction,
  authority: () => Promise<Authority>,
): Promise<{ router: string; refusal: string | null }[]> {
  const open = await tx<OpenRequest[]>`
    select r.name, r.host, r.link_host as "linkHost", r.server_name as "serverName", q.payload, q.signature
      from router_request q join router r on r.name = q.router
     where q.answered_at is null order by q.requested_at limit ${maxRequests} for update of q skip locked`;
  const answered = [];
  for (const request of open) {
    const answer = await certify(tx, authority, request);
    const refusal = 'refusal' in answer ? answer.refusal : null;
    await tx`
      update router_request set answered_at = clock_timestamp(), refusal = ${refusal},
             certificate = ${'certificatePem' in answer ? answer.certificatePem : null}
       where router = ${request.name}`;
    answered.push({ router: request.name, refusal });
  }
  return answered;
}

type Certified = { certificatePem: string } | { refusal: string };

async function certify(
  tx: Transaction,
  authority: () => Promise<Authority>,
  { name, host, linkHost, serverName, payload, signature }: OpenRequest,
): Promise<Certified> {
  const key = await hostKey(tx, host);
  if (key === undefined) return { refusal: `no host ${host} has joined the domain` };
  try {
    const signer = createPublicKey({ key, format: 'der', type: 'spki' });
    const proven = openEnvelope({ payload, signature }, routerRequestShape, signer);
    if (proven.router !== name || proven.host !== host) return { refusal: 'it is for another router' };
    if (listensOnlyForItself({ listenAddress: proven.listenAddress, linkHost }))
      return { refusal: onlyItself(proven, linkHost) };
    const certificatePem = issueRouterCertificate({
      ...{ authority: await authority(), serverName, domain: await readDomain(tx), now: await databaseTime(tx) },
      publicKeySpkiDer: Buffer.from(proven.publicKey, 'base64'),
    });
    await tx`
      update router set srp_port = ${proven.srpPort}, public_port = ${proven.publicPort},
             certificate_ends_at = ${new X509Certificate(certificatePem).validToDate}
       where name = ${name}`;
    return { certificatePem };
  } catch (error) {
    // A fault in a request refuses that request; a database error ends the transaction.
    if (error instanceof BrambleError) return { refusal: messageOf(error) };
    throw error;
  }
}

function onlyItself({ host, listenAddress, srpPort }: RouterRequest, linkHost: string): string {
  return (
    `routers of the host ${host} listen on ${listenAddress} alone, where nobody reaches ${linkHost}:${srpPort}: set listenAddress in the ` +
    'config.json of its home, and restart its supervisor (`bramble up --take-over`)'
  );
}
