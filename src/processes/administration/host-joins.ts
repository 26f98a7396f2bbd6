/**
 * Answers hosts that were invited and ask to join. Every turn starts from the database, so several administration services may do
 * this at once.
 */
import { recorded } from '../../access/audit/record.ts';
import { createBell } from '../../base/bell.ts';
import type { Clock } from '../../base/clock.ts';
import { BrambleError, isBrambleError, messageOf } from '../../base/errors.ts';
import { jsonOrUndefined } from '../../base/shallow-json.ts';
import { takeTurns } from '../../base/turns.ts';
import { lockMasterKeyFiles } from '../../component/master-key-ring.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database, Transaction } from '../../database/connection.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import { readRoleCredentials } from '../../database/roles/role-credentials.ts';
import type { DatabaseRole } from '../../database/roles/role-rights.ts';
import { type MasterKeys, masterKeyContents } from '../../database/sealed-value.ts';
import { readDomain } from '../../domain/domain.ts';
import { recordEvent } from '../../domain/events.ts';
import { readMasterKeyState } from '../../domain/master-key.ts';
import { readReleaseSigner } from '../../domain/release-signer.ts';
import {
  clearInvitations,
  dropRequest,
  hasInvitationWork,
  insertHost,
  listInvitations,
  type OpenRequest,
  storeAnswer,
  takeRequests,
} from '../../hosts/host-store.ts';
import { hostKeyOf, isProven, type JoinAnswer, joinRequestShape, sealAnswer } from '../../hosts/join-messages.ts';
import { closeJoiningUnlessInvited, lockInvitations } from '../../hosts/joining-role.ts';
import { openSecrets } from '../../hosts/sealed-invitation.ts';
import { readDomainTrust } from '../../instances/domain-trust.ts';
import { pemOf } from '../../link/trusted-authorities.ts';
import type { Logger } from '../../process/log/logger.ts';
import { routerAddresses } from '../../routers/router-addresses.ts';
import { createReleaseStorage } from './release-storage.ts';

interface HostJoins {
  db: Database;
  release: string;
  /** This component, and its host. */
  name: string;
  host: string;
  home: string;
  masterKeys: MasterKeys;
  log: Logger;
}

/** Answered in one transaction. */
const maxRequests = 8;
const againMs = 1000;
/** While a host that was admitted has not been at work yet. */
const joinedLookMs = 2000;

/** Answers what is open, once. @throws BrambleError ERR_MASTER_KEY while the keys that the answers would contain are not all of them */
async function answerJoins(joins: HostJoins): Promise<void> {
  const { db, release, name, host, log } = joins;
  if (!(await hasInvitationWork(db))) return;
  await administrationTransaction(db, release, async (tx) => {
    await lockInvitations(tx);
    const requests = await takeRequests(tx, maxRequests);
    if (requests.length > 0) await holdMasterKeys(tx, joins.masterKeys);
    for (const open of requests) {
      const operation = { actor: name, operation: 'host join', subjects: [open.host], from: { component: name, host } };
      await recorded(tx, { ...operation, when: 'changed' }, async () => {
        const refusal = await admit(joins, tx, open);
        if (refusal === undefined) log.info({ host: open.host }, 'a host joined');
        else log.warn({ host: open.host, reason: refusal }, 'a host was not admitted');
      });
    }
    await clearInvitations(tx);
    await closeJoiningUnlessInvited(tx);
    // What the sessions held that were ended.
    await clearInvitations(tx);
  });
}

/**
 * Until the transaction ends no other key is made or chosen: a host that is answered has all that are in use, or is among those that a
 * rotation sends the next one to.
 */
async function holdMasterKeys(tx: Transaction, { keys }: MasterKeys): Promise<void> {
  await lockMasterKeyFiles(tx);
  const { sealing, next } = await readMasterKeyState(tx);
  const lacking = [sealing, next].find((id) => id !== null && !keys.has(id));
  if (lacking === undefined) return;
  throw new BrambleError('ERR_MASTER_KEY', `This process does not hold the master key ${lacking} yet.`);
}

/** Answers, or returns why not: then the request is dropped, and the invited host can still make its own. */
async function admit(joins: HostJoins, tx: Transaction, open: OpenRequest): Promise<string | undefined> {
  try {
    await answer(joins, tx, open);
    return undefined;
  } catch (error) {
    // One request's fault must not keep the others from their answers; a database error ends the transaction.
    if (!isBrambleError(error)) throw error;
    await dropRequest(tx, open.id);
    return messageOf(error);
  }
}

async function answer(joins: HostJoins, tx: Transaction, open: OpenRequest): Promise<void> {
  const { secret } = openSecrets(joins.masterKeys, open);
  const request = joinRequestShape.safeParse(jsonOrUndefined(open.request));
  const isTheirs = isProven(secret, open.request, open.proof);
  if (!isTheirs || !request.success || request.data.invitation !== open.id || request.data.host !== open.host) {
    throw new BrambleError('ERR_HOST_INVITATION', 'Its request does not prove that it was invited.');
  }
  const sealed = sealAnswer(secret, request.data, await answerFor(joins, tx, open));
  const publicKey = hostKeyOf(request.data.publicKey);
  if (!(await insertHost(tx, { name: open.host, publicKey, administers: open.administers }))) {
    throw new BrambleError('ERR_HOST_INVITATION', 'A host of this name has joined already.');
  }
  await storeAnswer(tx, open.id, sealed);
  await recordEvent(tx, {
    kind: 'host-joined',
    subject: open.host,
    message: `the host ${open.host} joined the domain`,
  });
}

async function answerFor(joins: HostJoins, tx: Transaction, open: OpenRequest): Promise<JoinAnswer> {
  const [domain, { authorities }, routers, { fingerprint, unsigned, refused }, roles] = await Promise.all([
    readDomain(tx),
    readDomainTrust(tx),
    routerAddresses(tx, joins.home),
    readReleaseSigner(tx),
    readRoleCredentials(joins.home),
  ]);
  const given: readonly DatabaseRole[] = open.administers
    ? ['supervisor', 'server', 'connection', 'administration', 'coordinator']
    : ['supervisor', 'server', 'connection'];
  return {
    masterKeys: masterKeyContents(joins.masterKeys),
    roles: Object.fromEntries([...roles].filter(([role]) => given.includes(role))),
    databaseUrl: open.databaseUrl,
    domainAuthorityPem: pemOf(authorities),
    release: domain.release,
    publicPort: Number(new URL(domain.publicUrl).port || 443),
    srpPort: routers[0]?.port ?? 0,
    signer: { fingerprint, refused, unsigned: unsigned.map(({ manifest }) => manifest) },
  };
}

/** Answers whenever a host asks, until the signal is aborted; failures are retried. */
export async function keepAnsweringHosts(joins: HostJoins, clock: Clock, signal: AbortSignal): Promise<void> {
  const bell = createBell(clock);
  const storeRelease = createReleaseStorage(joins);
  const listening = await ringAtChanges(joins.db, ['host_invitation'], bell);
  await takeTurns(bell, signal, async () => {
    try {
      await answerJoins(joins);
      await storeRelease();
      // That a host is at work rings no bell.
      return (await listInvitations(joins.db)).some(({ answered }) => answered) ? joinedLookMs : lateLookMs;
    } catch (error) {
      if (!signal.aborted) joins.log.warn({ reason: messageOf(error) }, 'hosts were not answered; will retry');
      return againMs;
    }
  });
  await listening.unlisten();
}
