/**
 * Rotation of the master key, in steps that any administration service carries on:
 *
 *   begun    a new key is in the file of the home where it was ordered, and seals nothing
 *   chosen   every process that reads such a file has reported that it holds the key: it seals from now on
 *   settled  every value in the database was sealed again by it; hosts that joined, idle ones too, go on finding it in the database
 *   pruned   keys that seal nothing any more are removed from the file, and by the processes of other homes from theirs
 *
 * Invariant: nothing is sealed by a key that some process does not hold, and no key is removed that seals anything. The
 * file is written before the database says so, each time: a death in between leaves a key that nobody uses, or one more step
 * to be taken.
 */
import { type Operation, recorded } from '../../access/audit/record.ts';
import { createBell } from '../../base/bell.ts';
import { BrambleError, messageOf } from '../../base/errors.ts';
import { takeTurns } from '../../base/turns.ts';
import {
  lockMasterKeyFiles,
  type MasterKeyRing,
  masterKeyPath,
  rewriteMasterKeys,
  withoutKeys,
} from '../../component/master-key-ring.ts';
import { lateLookMs, ringAtChanges } from '../../database/change-notices.ts';
import type { Database, Queryable, Transaction } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import type { SealedPlace } from '../../database/sealed-place.ts';
import { createMasterKeys, type MasterKeys, readMasterKeys } from '../../database/sealed-value.ts';
import { loadDomainAuthority } from '../../domain/authorities.ts';
import { recordEvent } from '../../domain/events.ts';
import { isRotating, type MasterKeyState, readMasterKeyState, writeMasterKeyState } from '../../domain/master-key.ts';
import { listHosts } from '../../hosts/hosts.ts';
import { lacksOffer, offerMasterKey, withdrawMasterKeys } from '../../hosts/master-key-offers.ts';
import type { Logger } from '../../process/log/logger.ts';
import { type ComponentDetail, componentDetailShape } from '../../registry/component-detail.ts';
import { listComponents } from '../../registry/components.ts';
import { listDesiredProcesses } from '../../registry/desired-processes.ts';
import { listSupervisors } from '../../registry/supervisors.ts';

interface Rotation {
  readonly db: Database;
  readonly release: string;
  /** Of this administration service, for the record. */
  readonly name: string;
  readonly home: string;
  readonly ring: MasterKeyRing;
  readonly places: readonly SealedPlace[];
  readonly log: Logger;
}

/** Kinds of process that read a key file. */
const holders: readonly string[] = ['server', 'administration', 'coordinator'];
const soonMs = 1000;
/** What was sealed by the earlier key in a transaction that was open at the last look has been committed by then. */
const calmSeconds = 60;

/**
 * The first step; the others follow by themselves.
 * @param keys open the domain authority's key, which signs what is sent to the hosts that joined
 * @throws BrambleError ERR_KEY_ROTATION while one is under way
 */
export async function beginRotation(tx: Transaction, home: string, keys: MasterKeys): Promise<string> {
  await lockMasterKeyFiles(tx);
  const state = await readMasterKeyState(tx);
  if (isRotating(state)) {
    throw new BrambleError(
      'ERR_KEY_ROTATION',
      'The master key is being rotated already; `bramble key list` shows how far.',
    );
  }
  const file = await readMasterKeys(masterKeyPath(home));
  const fresh = createMasterKeys();
  await rewriteMasterKeys(home, { current: file.current, keys: new Map([...file.keys, ...fresh.keys]) });
  await writeMasterKeyState(tx, { ...state, next: fresh.current });
  for (const [keyId, key] of fresh.keys) {
    await offerMasterKey(tx, { keyId, key }, (await loadDomainAuthority(tx, keys)).privateKeyPem);
  }
  return fresh.current;
}

/**
 * For every host that joined is offered the new key, one that was stolen too.
 * @throws BrambleError ERR_KEY_ROTATION naming those whose supervisors do not report
 */
export async function assertHostsReport(q: Queryable): Promise<void> {
  const atWork = new Set((await listSupervisors(q)).flatMap(({ host, atWork }) => (atWork ? [host] : [])));
  const silent = (await listHosts(q)).map(({ name }) => name).filter((name) => !atWork.has(name));
  if (silent.length === 0) return;
  throw new BrambleError(
    'ERR_KEY_ROTATION',
    `Every host that joined is offered the new key, and of these nothing is heard: ${silent.join(', ')}. Nothing was changed. If ` +
      'one was lost, remove it and renew the passwords of the database roles first: `bramble host remove` (docs/hosts.md has the ' +
      'order). If they are only switched off: `bramble key rotate --silent-hosts`.',
    { details: { hosts: silent } },
  );
}

/** Names of the processes that do not report this of their keys yet, those that should run and do not among them. */
export async function processesWithout(
  q: Queryable,
  has: (keys: NonNullable<ComponentDetail['masterKeys']>) => boolean,
): Promise<string[]> {
  const alive = (await listComponents(q)).filter(({ kind, alive }) => holders.includes(kind) && alive);
  const wanted = (await listDesiredProcesses(q)).filter(
    ({ kind, state }) => holders.includes(kind) && state === 'running',
  );
  const absent = wanted.filter(({ name }) => !alive.some((component) => component.name === name));
  const lacking = alive.filter(({ detail }) => {
    const { masterKeys } = componentDetailShape.safeParse(detail).data ?? {};
    return masterKeys === undefined || !has(masterKeys);
  });
  return [
    ...lacking.map(({ name, host }) => `${name} on ${host}`),
    ...absent.map(({ name, host }) => `${name} on ${host} (not running)`),
  ].sort();
}

/** Carries the rotation on, until the signal is aborted. */
export async function keepRotating(rotation: Rotation, signal: AbortSignal): Promise<void> {
  const bell = createBell();
  const listening = await ringAtChanges(rotation.db, ['setting'], bell);
  await takeTurns(bell, signal, async () => {
    try {
      return (await rotationTurn(rotation)) === 'waits' ? soonMs : lateLookMs;
    } catch (error) {
      if (!signal.aborted)
        rotation.log.warn({ reason: messageOf(error) }, 'the master key was not rotated; will retry');
      return soonMs;
    }
  });
  await listening.unlisten();
}

/** As far as it can go at the moment. */
export async function rotationTurn(rotation: Rotation): Promise<'rests' | 'waits'> {
  const { db } = rotation;
  const { next } = await readMasterKeyState(db);
  if (next !== null) {
    await sendToHosts(rotation, next);
    if ((await processesWithout(db, ({ held }) => held.includes(next))).length > 0) return 'waits';
    await choose(rotation, next);
  }
  const { sealing, settledAt } = await readMasterKeyState(db);
  if (sealing === null) return 'rests';
  await sendToHosts(rotation, sealing);
  await bringFileIntoLine(rotation, sealing);
  if (settledAt !== null) return 'rests';
  await rotation.ring.reread();
  if (rotation.ring.current !== sealing) return 'waits';
  if ((await processesWithout(db, ({ current }) => current === sealing)).length > 0) return 'waits';
  for (const place of rotation.places) await sealPlaceAgain(rotation, place);
  return await settle(rotation, sealing);
}

/** To those that have no offer of it, such as one that joined while it was made; from a home that holds it. */
async function sendToHosts({ db, release, ring, log }: Rotation, keyId: string): Promise<void> {
  if (!(await lacksOffer(db, keyId))) return;
  await ring.reread();
  const key = ring.keys.get(keyId);
  if (key === undefined) return;
  const sent = await administrationTransaction(db, release, async (tx) => {
    const { privateKeyPem } = await loadDomainAuthority(tx, ring);
    return await offerMasterKey(tx, { keyId, key }, privateKeyPem);
  });
  if (sent > 0) log.info({ key: keyId, hosts: sent }, 'the master key is on its way to the hosts that joined');
}

async function choose(rotation: Rotation, next: string): Promise<void> {
  await write(rotation, 'choose master key', async (tx) => {
    await lockMasterKeyFiles(tx);
    const state = await readMasterKeyState(tx);
    if (state.next !== next) return;
    await writeMasterKeyState(tx, { ...state, sealing: next, next: null, settledAt: null });
  });
  rotation.log.info({ key: next }, 'every process holds the new master key, which seals from now on');
}

/** So that a process that reads only the file seals by the same key. The file of another home is left to its service. */
async function bringFileIntoLine({ db, release, home }: Rotation, sealing: string): Promise<void> {
  const path = masterKeyPath(home);
  const known = await readMasterKeys(path);
  if (known.current === sealing || !known.keys.has(sealing)) return;
  await administrationTransaction(db, release, async (tx) => {
    await lockMasterKeyFiles(tx);
    const file = await readMasterKeys(path);
    await rewriteMasterKeys(home, { current: sealing, keys: file.keys });
  });
}

async function sealPlaceAgain(rotation: Rotation, place: SealedPlace): Promise<void> {
  let after: string | null = null;
  do {
    const from: string | null = after;
    const work = async (tx: Transaction): Promise<string | null> => await place.sealAgain(tx, rotation.ring, from);
    after = place.recorded
      ? await write(rotation, 'seal again', work)
      : await administrationTransaction(rotation.db, rotation.release, work);
  } while (after !== null);
}

/** Looked at again as a whole: rows that were held were passed over. */
async function settle(rotation: Rotation, sealing: string): Promise<'rests' | 'waits'> {
  const left = (await usedKeys(rotation.db, rotation.places)).filter(({ keyId }) => keyId !== sealing);
  if (left.length > 0) return 'waits';
  await write(rotation, 'settle master key', async (tx) => {
    await lockMasterKeyFiles(tx);
    const state = await readMasterKeyState(tx);
    if (state.sealing !== sealing || state.next !== null || state.settledAt !== null) return;
    await writeMasterKeyState(tx, { ...state, settledAt: (await databaseTime(tx)).toISOString() });
    await withdrawMasterKeys(tx, sealing);
    const message = `Everything in the database is sealed by the master key ${sealing}.`;
    await recordEvent(tx, { kind: 'master-key-rotated', subject: sealing, message });
  });
  return 'rests';
}

/** By place and key. */
export async function usedKeys(
  q: Queryable,
  places: readonly SealedPlace[],
): Promise<{ place: string; keyId: string; count: number }[]> {
  const used: { place: string; keyId: string; count: number }[] = [];
  for (const place of places) {
    for (const row of await place.count(q)) used.push({ place: place.name, ...row });
  }
  return used;
}

/**
 * Removes from the file of this home what seals nothing, and has the processes of other homes do the same. Returns the ids of the
 * removed keys.
 * @throws BrambleError ERR_KEY_ROTATION while anything could still be sealed by another key than the chosen one
 */
export async function pruneMasterKeys(
  tx: Transaction,
  home: string,
  places: readonly SealedPlace[],
): Promise<string[]> {
  await lockMasterKeyFiles(tx);
  const state = await readMasterKeyState(tx);
  if (isRotating(state)) throw notYet('the rotation is under way; `bramble key list` shows what it waits for');
  const file = await readMasterKeys(masterKeyPath(home));
  const sealing = state.sealing ?? file.current;
  if (!file.keys.has(sealing)) throw notYet(`the file of this home does not hold the key ${sealing}, which seals`);
  const [calm] = await tx<{ is: boolean }[]>`
    select ${state.settledAt}::timestamptz > now() - make_interval(secs => ${calmSeconds}) is not true as is`;
  if (calm?.is !== true) throw notYet(`the rotation ended less than ${calmSeconds} seconds ago`);
  const lacking = await processesWithout(tx, ({ current }) => current === sealing);
  if (lacking.length > 0) throw notYet(`not known to seal by ${sealing}: ${lacking.join(', ')}`);
  const used = new Set((await usedKeys(tx, places)).map(({ keyId }) => keyId));
  const isUseless = (id: string): boolean => id !== sealing && !used.has(id);
  const removed = [...new Set([...file.keys.keys(), ...(await heldKeys(tx))])].filter(isUseless);
  if (removed.length === 0) return removed;
  await rewriteMasterKeys(home, { current: sealing, keys: withoutKeys(file, removed) });
  const known = [...state.removed.filter((id) => !removed.includes(id)), ...removed];
  await writeMasterKeyState(tx, { ...state, sealing, removed: known.slice(-maxRemoved) });
  return removed;
}

/** A rotation adds one: far more than any home is late by. */
const maxRemoved = 100;

/** As processes report them, here or elsewhere. */
async function heldKeys(q: Queryable): Promise<string[]> {
  return (await listComponents(q)).flatMap(({ alive, detail }) => {
    const { masterKeys } = componentDetailShape.safeParse(detail).data ?? {};
    return alive ? (masterKeys?.held ?? []) : [];
  });
}

/** Processes that are not known to have forgotten what was removed. */
export async function processesWithRemoved(q: Queryable, { removed }: MasterKeyState): Promise<string[]> {
  if (removed.length === 0) return [];
  return await processesWithout(q, ({ held }) => !held.some((id) => removed.includes(id)));
}

function notYet(why: string): BrambleError {
  return new BrambleError('ERR_KEY_ROTATION', `No master key can be removed yet: ${why}. Nothing was changed.`);
}

async function write<Result>(
  { db, release, name }: Rotation,
  operation: string,
  work: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  const by: Operation = { actor: name, operation, subjects: [], from: { component: name }, when: 'changed' };
  return await administrationTransaction(db, release, (tx) => recorded(tx, by, work));
}
