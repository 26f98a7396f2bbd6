/**
 * What a restored domain has to be before it goes on, and that it begins paused.
 *
 * Routers, instances and devices remember more than the backup knows. So numbers that only rise (epochs of accounts, the list
 * of revocations) continue above all that were given out since: at the milliseconds of the clock, which no domain counts
 * as fast as; that holds for the second restoring of the same backup too. Where the clock is behind they are above the time of
 * the backup and the former home's list at least. Paused means that only administration services are started: nothing is sent
 * to a device or taken from one before somebody has looked, and a former domain that still runs somewhere is not disturbed.
 * Devices find nobody, and come back by themselves.
 */
import { createToken } from '../access/administrator-tokens.ts';
import { recorded } from '../access/audit/record.ts';
import { forgetAllKeys } from '../access/idempotency.ts';
import { endCopiedSignIns } from '../access/sign-in/copied-sign-ins.ts';
import { raiseEpochs } from '../accounts/account-owner.ts';
import { BrambleError } from '../base/errors.ts';
import { type Transaction, withDatabase } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import { raiseRevisions } from '../database/revisions.ts';
import type { MasterKeys } from '../database/sealed-value.ts';
import { listPossiblyRenewed } from '../devices/renewal-report.ts';
import { forgetReports } from '../distribution/release-report-removal.ts';
import { beginEventStream } from '../domain/copied-events.ts';
import { readDomain } from '../domain/domain.ts';
import { recordEvent } from '../domain/events.ts';
import { readRestored, writeRestored } from '../domain/restored-domain.ts';
import { readRouteSigners, replaceRouteSigner } from '../domain/route-signer-roll.ts';
import { forgetHosts } from '../hosts/host-store.ts';
import { listSrpCredentials, raiseSrpNumbers, takeRevocations } from '../instances/srp-credential-store.ts';
import { normalSerial, type RevocationList } from '../link/messages.ts';
import { dropWaiting } from '../notices/copied-domain.ts';
import { changeDesiredProcesses, listDesiredProcesses, setDesiredProcess } from '../registry/desired-processes.ts';
import { listSupervisors } from '../registry/supervisors.ts';
import { newestSigned, type readFormerLists } from './former-revocations.ts';
import type { BackupHead } from './manifest.ts';

const applicationName = 'bramble/restore';
/** Everything that serves devices; what administers the domain runs. */
const pausedKinds = ['router', 'server', 'connection', 'coordinator'];
/** SRP identifiers are few: so many are left out, and one more for each minute since the backup. */
const skippedIdentifiers = 1000;

export interface SettledDomain {
  /** What does not start before the domain is resumed. */
  stopped: string[];
  /** Devices that may have renewed their identity since: those must enrol again. */
  possiblyRenewed: { id: string; account: string }[];
  /** Every host but the one of the backup: they have to join again. */
  joinedHosts: string[];
  /** An administration service of another host that was placed on this one, which had none; null if that was not needed. */
  administration: string | null;
  /** Taken from the former home; null if none was named. */
  revocationsTaken: number | null;
}

interface Settled extends SettledDomain {
  /** A new administrator's, if one was wanted. */
  token: string | null;
}

type FormerLists = Awaited<ReturnType<typeof readFormerLists>>;

/** `host` is the one whose home the backup has. */
interface Restorer {
  user: string;
  host: string;
  /** The home has no administrator's token: on hosts that joined there is none. */
  needsToken: boolean;
}

/** In one transaction, with a record in the audit. */
export async function settleRestored(
  url: string,
  head: BackupHead,
  by: Restorer,
  former: { lists: FormerLists; masterKeys: MasterKeys },
): Promise<Settled> {
  const settled = await withDatabase(url, applicationName, async (db) =>
    db.begin(async (tx): Promise<Settled> => {
      const operation = {
        ...{ actor: by.user, operation: 'backup restore', subjects: [head.domain.name] },
        ...{ from: { component: 'bramble backup restore', host: by.host }, when: 'wrote' as const },
      };
      return await recorded(tx, operation, async () => await settle(tx, head, by, former));
    }),
  );
  return settled as Settled;
}

async function settle(
  tx: Transaction,
  { id, takenAt, madeBy }: BackupHead,
  by: Restorer,
  { lists, masterKeys }: { lists: FormerLists; masterKeys: MasterKeys },
): Promise<Settled> {
  const former = await newestSigned(tx, lists);
  const revocationsTaken = former === undefined ? null : await takeRevocations(tx, former.revoked);
  if (former !== undefined) await replaceRevokedRouteSigner(tx, masterKeys, former.revoked);
  const joinedHosts = await forgetOtherHosts(tx, by.host);
  const administration = await placeAdministration(tx, by.host);
  const now = Math.max(Date.now(), (await databaseTime(tx)).getTime());
  // A clock may be behind.
  const above = Math.max(now, Date.parse(takenAt) + 1, (former?.number ?? 0) + 1);
  await dropWaiting(tx);
  await beginEventStream(tx);
  await forgetAllKeys(tx);
  await endCopiedSignIns(tx);
  await raiseEpochs(tx, above);
  await raiseRevisions(tx, above);
  const minutes = Math.max(0, Math.round((now - Date.parse(takenAt)) / 60_000));
  await raiseSrpNumbers(tx, above, skippedIdentifiers + minutes);
  const paused = (await listDesiredProcesses(tx)).filter(
    ({ kind, state }) => pausedKinds.includes(kind) && state === 'running',
  );
  const stopped = paused.map(({ name }) => name);
  await changeDesiredProcesses(tx, stopped, { state: 'stopped' });
  const restoredAt = new Date(now).toISOString();
  await writeRestored(tx, { backup: id, takenAt, restoredAt, by: `${by.user} on ${by.host}`, stopped, joinedHosts });
  await recordEvent(tx, {
    kind: 'domain-restored',
    subject: id,
    message:
      `The domain was restored by ${by.user} on ${by.host} from the backup that ${madeBy.user} made on ${madeBy.host}, as of ` +
      `${takenAt}. Nothing but its administration runs until \`bramble backup resume\`.`,
  });
  const possiblyRenewed = await listPossiblyRenewed(tx, new Date(takenAt));
  const token = by.needsToken ? await createToken(tx, `restored-${restoredAt}`) : null;
  return { stopped, revocationsTaken, joinedHosts, administration, possiblyRenewed, token };
}

/**
 * The host of the backup is the first of the restored domain, whichever it was of the former one. The others are not in the backup, and may
 * still be at work on the former database: what they hold opens nothing here. They join again, which gives them the database, its roles,
 * the master keys of now and new credentials; what is placed there stays.
 */
async function forgetOtherHosts(tx: Transaction, own: string): Promise<string[]> {
  const processes = await listDesiredProcesses(tx);
  const seen = [...processes, ...(await listSupervisors(tx))].map(({ host }) => host);
  const others = new Set([...(await forgetHosts(tx)), ...seen]);
  others.delete(own);
  await forgetReports(tx, [...others]);
  for (const { host, settings } of processes) {
    if (!others.has(host)) continue;
    const identifier = (settings as Record<string, unknown>)['srpIdentifier'];
    if (typeof identifier !== 'string') continue;
    const valid = (await listSrpCredentials(tx, identifier)).filter(({ revokedAt }) => revokedAt === null);
    await takeRevocations(
      tx,
      valid.map(({ serial, expiresAt }) => ({ serial, identifier, expiresAt: expiresAt.toISOString() })),
    );
  }
  return [...others].sort();
}

/** Without one nobody could invite the other hosts, or look at anything. */
async function placeAdministration(tx: Transaction, host: string): Promise<string | null> {
  const services = (await listDesiredProcesses(tx)).filter(({ kind }) => kind === 'administration');
  if (services.some((service) => service.host === host && service.state === 'running')) return null;
  const service = services.find((each) => each.host === host) ?? services[0];
  if (service === undefined) return null;
  await setDesiredProcess(tx, { ...service, host, state: 'running' });
  return service.name;
}

/** It was retired after the backup: routers would believe nothing that it signs. */
async function replaceRevokedRouteSigner(
  tx: Transaction,
  keys: MasterKeys,
  revoked: RevocationList['revoked'],
): Promise<void> {
  const { present } = await readRouteSigners(tx);
  if (present === null || !revoked.some(({ serial }) => normalSerial(serial) === normalSerial(present))) return;
  await replaceRouteSigner(tx, keys, await readDomain(tx), new Date());
}

/**
 * Starts what a restored domain's pause has stopped.
 * @throws BrambleError ERR_STATE when the domain is not paused
 */
export async function resumeRestored(url: string, by: { user: string; host: string }): Promise<string[]> {
  const resumed = await withDatabase(url, applicationName, async (db) =>
    db.begin(async (tx) => {
      const restored = await readRestored(tx);
      const stopped = restored?.stopped ?? null;
      if (restored === null || stopped === null) {
        throw new BrambleError(
          'ERR_STATE',
          restored === null
            ? 'This domain was not restored from a backup: there is nothing to resume.'
            : 'This domain was resumed already.',
        );
      }
      const { name } = await readDomain(tx);
      const operation = {
        ...{ actor: by.user, operation: 'backup resume', subjects: [name] },
        ...{ from: { component: 'bramble backup resume', host: by.host }, when: 'wrote' as const },
      };
      return await recorded(tx, operation, async () => {
        await changeDesiredProcesses(tx, stopped, { state: 'running' });
        await writeRestored(tx, { ...restored, stopped: null });
        await recordEvent(tx, {
          kind: 'domain-resumed',
          subject: restored.backup,
          message: `${by.user} on ${by.host} resumed the restored domain: ${stopped.join(', ')}.`,
        });
        return stopped;
      });
    }),
  );
  return resumed as string[];
}
