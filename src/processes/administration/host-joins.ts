/**
 * Answers hosts that were invited and ask to join, and stores the releases that they fetch. Every turn starts from the database,
 * so several administration services may do this at once.
 */
import { join } from 'node:path';
import { recorded } from '../../access/audit/record.ts';
import { createBell } from '../../base/bell.ts';
import type { Clock } from '../../base/clock.ts';
import { BrambleError, isBrambleError, messageOf } from '../../base/errors.ts';
import { takeTurns } from '../../base/turns.ts';
import { lockMasterKeyFiles } from '../../component/master-key-ring.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database, Transaction } from '../../database/connection.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import { readRoleCredentials } from '../../database/roles/role-credentials.ts';
import type { DatabaseRole } from '../../database/roles/role-rights.ts';
import { type MasterKeys, masterKeyContents } from '../../database/sealed-value.ts';
import { fetchesReleases, writeHostSigner } from '../../distribution/host-signer.ts';
import { pruneStored, storedReleases, storeRelease } from '../../distribution/release-store.ts';
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
import { listHosts } from '../../hosts/hosts.ts';
import { hostKeyOf, isProven, type JoinAnswer, joinRequestShape, sealAnswer } from '../../hosts/join-messages.ts';
import { closeJoiningUnlessInvited, lockInvitations } from '../../hosts/joining-role.ts';
import { openSecrets } from '../../hosts/sealed-invitation.ts';
import { readDomainTrust } from '../../instances/domain-trust.ts';
import { pemOf } from '../../link/trusted-authorities.ts';
import type { Logger } from '../../process/log/logger.ts';
import { listDesiredProcesses } from '../../registry/desired-processes.ts';
import { readInstalled } from '../../release/archive.ts';
import { routerAddresses } from '../../routers/router-addresses.ts';

import { readOpenUpgrade } from '../../upgrade/state/upgrade-store.ts';

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
  const request = joinRequestShape.safeParse(jsonOf(open.request));
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

/** The release of this process, if there is a host that may need it. It is that of the domain, and of what is to run. */
async function storeOwnRelease({ db, release, name, host, home, log }: HostJoins): Promise<void> {
  if ((await listHosts(db)).length === 0) return;
  await acceptReleases(db, home);
  const stored = await storedReleases(db);
  const own = stored.has(release) ? (await readInstalled(join(home, 'releases', release))).manifestSha256 : undefined;
  if (own !== stored.get(release)) {
    // Which of them is meant is not known here, and two services would replace each other's for ever.
    log.warn(
      { release, stored: stored.get(release), own },
      'the database holds another build of this release, which other hosts fetch; one of the two hosts has to be given the other build',
    );
  }
  const wanted = await wantedReleases(db, release);
  if (stored.has(release) && [...stored.keys()].every((one) => wanted.includes(one))) return;
  await administrationTransaction(db, release, (tx) =>
    recorded(
      tx,
      {
        actor: name,
        operation: 'release store',
        subjects: [release],
        from: { component: name, host },
        when: 'changed',
      },
      async () => {
        await pruneStored(tx, wanted);
        if (!stored.has(release)) await storeRelease(tx, home, release);
      },
    ),
  );
  log.info({ release, wanted }, 'releases were stored for other hosts, and old ones removed');
}

/** From now on this home takes releases from other hosts, as those that joined do: from whom the domain does at this moment. */
async function acceptReleases(db: Database, home: string): Promise<void> {
  if (fetchesReleases(home)) return;
  const { fingerprint, unsigned, refused } = await readReleaseSigner(db);
  const manifests = unsigned.map(({ manifest }) => manifest);
  await writeHostSigner(home, { fingerprint, refused, unsigned: manifests });
}

/** What runs, is to run, or is what an open upgrade leads to. */
async function wantedReleases(db: Database, own: string): Promise<string[]> {
  const [desired, upgrade] = await Promise.all([listDesiredProcesses(db), readOpenUpgrade(db)]);
  const ofUpgrade = upgrade === undefined ? [] : [upgrade.fromRelease, upgrade.toRelease];
  return [...new Set([own, ...desired.map((process) => process.release), ...ofUpgrade])];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Answers whenever a host asks, until the signal is aborted; failures are retried. */
export async function keepAnsweringHosts(joins: HostJoins, clock: Clock, signal: AbortSignal): Promise<void> {
  const bell = createBell(clock);
  const listening = await ringAtChanges(joins.db, ['host_invitation'], bell);
  await takeTurns(bell, signal, async () => {
    try {
      await answerJoins(joins);
      await storeOwnRelease(joins);
      // That a host is at work rings no bell.
      return (await listInvitations(joins.db)).some(({ answered }) => answered) ? joinedLookMs : lateLookMs;
    } catch (error) {
      if (!signal.aborted) joins.log.warn({ reason: messageOf(error) }, 'hosts were not answered; will retry');
      return againMs;
    }
  });
  await listening.unlisten();
}
