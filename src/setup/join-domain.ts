/**
 * Makes BRAMBLE_HOME the home of a further host of a domain: what `bramble join` does. The database is the meeting place: the host
 * asks in the row of its invitation, an administration service answers there, and the release comes from there too.
 *
 * Invariants: `config.json` is written last, so a home either belongs to a host of the domain or to none; until then everything can
 * be repeated with the same invitation, since the keys that the request names are kept in `join.json`.
 */
import { createPrivateKey } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { addressWithoutCredential } from '../base/database-address.ts';
import { BrambleError } from '../base/errors.ts';
import { readPresent } from '../base/present-file.ts';
import { jsonOrUndefined } from '../base/shallow-json.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { urlForRole, writeRoleCredentials } from '../database/roles/role-credentials.ts';
import { processRoles } from '../database/roles/role-rights.ts';
import { sqlState } from '../database/sql-state.ts';
import { unreachableOr } from '../database/unreachable-database.ts';
import { writeWholeFile } from '../database/whole-file.ts';
import { writeHostSigner } from '../distribution/host-signer.ts';
import { fetchRelease } from '../distribution/release-fetch.ts';
import { writeHostKey } from '../hosts/host-key.ts';
import { lookForAnswer, postRequest } from '../hosts/host-store.ts';
import { type Invitation, readInvitation } from '../hosts/invitation.ts';
import { type JoinAnswer, type JoinRequest, newAnswerKeys, openAnswer, proofOf } from '../hosts/join-messages.ts';
import { authorityFingerprint, certificatesIn } from '../link/trusted-authorities.ts';
import type { configurationSchema } from '../process/configuration.ts';
import { createEcKeyPair, privateKeyPemOf, spkiDerOf } from '../protocol/x509/key-pair.ts';
import { listDesiredProcesses } from '../registry/desired-processes.ts';
import { clockText, isClockWrong, readClockAheadMs } from '../registry/host-clock.ts';
import { freePort } from './free-port.ts';

export interface JoinPlan {
  home: string;
  /** As `bramble host invite` printed it. */
  invitation: string;
  /** Where routers on this host listen. */
  listenAddress: string;
  /** Told what is being waited for. */
  onStep: (text: string) => void;
  signal: AbortSignal;
}

interface JoinedHome {
  domain: string;
  host: string;
  release: string;
  /** The program that runs this host. */
  program: string;
}

/** What must survive an interruption: the request names these keys. */
export const pendingJoinShape = z.object({
  invitation: z.uuid(),
  hostKeyPem: z.string(),
  answerKeyPem: z.string(),
  /** As it was posted. */
  request: z.string(),
});
type Pending = z.output<typeof pendingJoinShape>;

const lookMs = 300;

/**
 * Joins. Can be repeated with the same invitation until it succeeds.
 * @throws BrambleError ERR_HOST_INVITATION, ERR_DOMAIN_EXISTS when the home belongs to a domain already,
 * ERR_DATABASE_UNAVAILABLE, ERR_RELEASE_SIGNER
 */
export async function joinDomain(plan: JoinPlan): Promise<JoinedHome> {
  const { home } = plan;
  const invitation = readInvitation(plan.invitation);
  await assertNoDomain(home);
  const pending = await pendingOf(home, invitation);
  plan.onStep(`asking the domain ${invitation.domain.name} to admit ${invitation.host}`);
  const ask = (db: Database) => askForAnswer(db, invitation, pending, plan);
  // Not a single session: the domain ends those that last, so that every invited host gets one.
  const answer = await inDatabase(invitation.databaseUrl, ask, 2).catch((cause: unknown) => {
    if (!isRefused(cause)) throw cause;
    const place = addressWithoutCredential(invitation.databaseUrl);
    throw unusable(`the database at ${place} does not admit who holds it: ${ends}`, cause);
  });
  await assertAuthority(invitation, answer);
  await writeHome(home, pending, answer);
  const supervisorUrl = urlOf(answer, 'supervisor');
  plan.onStep(`fetching release ${answer.release}`);
  const release = await inDatabase(supervisorUrl, async (db) => {
    const aheadMs = await readClockAheadMs(db);
    if (isClockWrong(aheadMs)) plan.onStep(`the clock of this computer ${clockText(aheadMs)}: have it set by NTP`);
    return await fetched(db, answer.release, plan);
  });
  const { listenAddress } = plan;
  const publicPort = await freePort(answer.publicPort, listenAddress);
  const srpPort = await freePort(answer.srpPort, listenAddress, publicPort);
  const { host } = invitation;
  const configuration: z.input<typeof configurationSchema> = {
    database: { url: supervisorUrl },
    host,
    publicPort,
    srpPort,
    listenAddress,
    console: { port: await freePort(consolePort, '127.0.0.1', publicPort, srpPort) },
  };
  await writeWholeFile(join(home, 'config.json'), `${JSON.stringify(configuration, null, 2)}\n`, 'wx');
  await rm(pendingFile(home), { force: true });
  const program = join(home, 'releases', release, 'bramble.mjs');
  return { domain: invitation.domain.name, host, release, program };
}

async function assertNoDomain(home: string): Promise<void> {
  if ((await readPresent(join(home, 'config.json'))) === null) return;
  throw new BrambleError(
    'ERR_DOMAIN_EXISTS',
    `${home} belongs to a domain already. Run it with \`bramble up\`, or set BRAMBLE_HOME to another home.`,
  );
}

/** As on the first host, if an administration service comes to run here. */
const consolePort = 3180;

const pendingFile = (home: string): string => join(home, 'join.json');

/** The keys of an earlier attempt with this invitation, or fresh ones. */
async function pendingOf(home: string, invitation: Invitation): Promise<Pending> {
  const present = pendingJoinShape.safeParse(jsonOrUndefined((await readPresent(pendingFile(home))) ?? ''));
  if (present.success && present.data.invitation === invitation.id) return present.data;
  const hostKeys = await createEcKeyPair();
  const answerKeys = newAnswerKeys();
  const request: JoinRequest = {
    invitation: invitation.id,
    host: invitation.host,
    publicKey: spkiDerOf(hostKeys.publicKey).toString('base64'),
    answerKey: spkiDerOf(answerKeys.publicKey).toString('base64'),
  };
  const pending: Pending = {
    invitation: invitation.id,
    hostKeyPem: privateKeyPemOf(hostKeys.privateKey),
    answerKeyPem: privateKeyPemOf(answerKeys.privateKey),
    request: JSON.stringify(request),
  };
  return pending;
}

async function inDatabase<Result>(url: string, work: (db: Database) => Promise<Result>, max = 1): Promise<Result> {
  const db = openDatabase(url, { applicationName: 'bramble/join', max });
  try {
    return await work(db);
  } catch (cause) {
    const advice = 'Check that this host reaches that address, then run the command again with the same invitation.';
    throw unreachableOr(cause, url, advice);
  } finally {
    await db.end({ timeout: 5 });
  }
}

async function askForAnswer(
  db: Database,
  { id, secret }: Invitation,
  pending: Pending,
  { home, onStep, signal }: JoinPlan,
): Promise<JoinAnswer> {
  const { request, answerKeyPem } = pending;
  let told = false;
  for (;;) {
    const found = await lookForAnswer(db, id).catch((error: unknown) => {
      if (sqlState(error) !== tooManySessions) throw error;
      return 'no session' as const;
    });
    if (found === 'no session') {
      await pause(signal);
      continue;
    }
    if (found === undefined) throw unusable(ends);
    if (found.answer !== null && found.request !== request) {
      throw unusable(
        'another computer has joined with it. If that was not you, remove the host: `bramble host remove`',
      );
    }
    if (found.answer !== null) return openAnswer(secret, id, createPrivateKey(answerKeyPem), found.answer);
    if (found.expired) throw unusable('it expired');
    if (found.request !== request) {
      // Before the domain knows these keys; and not in a home that is refused.
      await mkdir(home, { recursive: true, mode: 0o700 });
      await writeWholeFile(pendingFile(home), `${JSON.stringify(pending)}\n`, 'w');
      if (!(await postRequest(db, id, request, proofOf(secret, request)))) continue;
    }
    if (!told) onStep('waiting for an administration service of the domain to answer');
    told = true;
    await pause(signal);
  }
}

/** @throws BrambleError ERR_HOST_INVITATION when the signal is aborted */
async function pause(signal: AbortSignal): Promise<void> {
  await delay(lookMs, undefined, { signal }).catch((cause: unknown) => {
    throw new BrambleError(
      'ERR_HOST_INVITATION',
      'No administration service of the domain has answered in time. The request stays in the database: look whether one is at work ' +
        '(`bramble status`), then run the command again with the same invitation.',
      { cause },
    );
  });
}

/** Whether the server knows no such role, password or database, or the role has no business there. */
const isRefused = (error: unknown): boolean => /^(28...|3D000|42501|42P01)$/.test(sqlState(error) ?? '');

/** Other invited hosts have all of them at the moment. */
const tooManySessions = '53300';

/** What may have become of an invitation that the database does not know. */
const ends = 'it was withdrawn or replaced, it expired, its host has joined already, or it is of another domain';

function unusable(why: string, cause?: unknown): BrambleError {
  return new BrambleError(
    'ERR_HOST_INVITATION',
    `The invitation cannot be used: ${why}. Invite the host again with \`bramble host invite\`.`,
    { cause },
  );
}

async function assertAuthority(invitation: Invitation, { domainAuthorityPem }: JoinAnswer): Promise<void> {
  // During a rollover both; the invitation names the one that issued when it was made.
  if (certificatesIn(domainAuthorityPem).map(authorityFingerprint).includes(invitation.authority)) return;
  throw unusable('the answer names another domain authority than the invitation');
}

async function writeHome(home: string, pending: Pending, answer: JoinAnswer): Promise<void> {
  await mkdir(join(home, 'keys'), { recursive: true, mode: 0o700 });
  await writeWholeFile(join(home, 'keys', 'master.json'), `${JSON.stringify(answer.masterKeys)}\n`, 'w');
  await writeHostKey(home, { privateKeyPem: pending.hostKeyPem, domainAuthorityPem: answer.domainAuthorityPem });
  await writeHostSigner(home, answer.signer);
  await writeRoleCredentials(
    home,
    new Map(processRoles.flatMap((role) => (answer.roles[role] ? [[role, answer.roles[role]] as const] : []))),
  );
}

function urlOf({ databaseUrl, roles }: JoinAnswer, role: 'supervisor'): string {
  return urlForRole(databaseUrl, roles[role]);
}

/**
 * An administration service stores the release when the first host has joined. One that an upgrade has replaced since this host was answered
 * is stored no more: then it is that of the administration services. Returns which.
 */
async function fetched(db: Database, answered: string, { home, signal }: JoinPlan): Promise<string> {
  for (;;) {
    const present = (await listDesiredProcesses(db)).filter(({ kind }) => kind === 'administration');
    for (const release of new Set([answered, ...present.map((process) => process.release)])) {
      if (await fetchRelease(db, home, release)) return release;
    }
    await pause(signal);
  }
}
