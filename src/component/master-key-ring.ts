/**
 * The master keys of a home as a running process knows them: from the file, reread when the domain's choice of key changes
 * and now and then, since an operator may bring another file.
 *
 * Invariant: a key that was once held stays held until the file is readable without it. The key that seals is the one
 * that the domain has chosen, if it is held; it is chosen only when every process that reads such a file holds it.
 */
import { dirname, join } from 'node:path';
import { createBell } from '../base/bell.ts';
import { syncFolder } from '../base/durable-file.ts';
import { messageOf } from '../base/errors.ts';
import { takeTurns } from '../base/turns.ts';
import { advisoryLock, lockClass } from '../database/advisory-locks.ts';
import { lateLookMs, ringAtChanges } from '../database/change-notices.ts';
import type { Database, Transaction } from '../database/connection.ts';
import { type MasterKeys, readMasterKeys, writeMasterKeys } from '../database/sealed-value.ts';
import { readMasterKeyState } from '../domain/master-key.ts';
import type { Logger } from '../process/log/logger.ts';
import type { ComponentDetail } from '../registry/component-detail.ts';

/** Between two looks at the file while it lacks the key that seals, or is to seal. */
const soonMs = 2000;

export interface MasterKeyRing extends MasterKeys {
  /** Reads file and choice again. @throws BrambleError ERR_MASTER_KEY; the known keys stay. */
  reread(): Promise<void>;
  /** Follows both until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** For the component's detail. */
  detail(): Pick<ComponentDetail, 'masterKeys'>;
}

/** On the disk before it counts. The caller holds {@link lockMasterKeyFiles}. */
export async function rewriteMasterKeys(home: string, keys: MasterKeys): Promise<void> {
  const path = masterKeyPath(home);
  await writeMasterKeys(path, keys, 'w');
  await syncFolder(dirname(path));
}

/** Key files are rewritten one at a time: none is written over with fewer keys. Until the transaction ends. */
export async function lockMasterKeyFiles(tx: Transaction): Promise<void> {
  await tx`select pg_advisory_xact_lock(${lockClass}, ${advisoryLock.masterKey})`;
}

export function withoutKeys({ keys }: MasterKeys, removed: readonly string[]): MasterKeys['keys'] {
  return new Map([...keys].filter(([id]) => !removed.includes(id)));
}

export const masterKeyPath = (home: string): string => join(home, 'keys', 'master.json');

/**
 * @param offered a key that is on its way to this host, for its file
 * @throws BrambleError ERR_MASTER_KEY
 */
export async function openMasterKeyRing(parts: {
  db: Database;
  home: string;
  log: Logger;
  offered?: (keyId: string) => Promise<Buffer | undefined>;
}): Promise<MasterKeyRing> {
  const { db, home, log, offered = async () => undefined } = parts;
  let file = await readMasterKeys(masterKeyPath(home));
  let chosen = (await readMasterKeyState(db)).sealing;
  /** That which seals in this domain, and the next one. */
  let needed: readonly string[] = [];
  const lacking = (): string[] => needed.filter((id) => !file.keys.has(id));

  async function fetchKey(keyId: string): Promise<void> {
    const key = await offered(keyId);
    if (key === undefined) return;
    await db.begin(async (tx) => {
      await lockMasterKeyFiles(tx);
      const present = await readMasterKeys(masterKeyPath(home));
      if (present.keys.has(keyId)) return;
      await rewriteMasterKeys(home, { current: present.current, keys: new Map([...present.keys, [keyId, key]]) });
    });
    file = await readMasterKeys(masterKeyPath(home));
    log.info({ key: keyId }, 'a new master key has come to this host');
  }

  /** What seals nothing any more, as an administration service found out. Not before this home seals by the chosen key. */
  async function forgetRemoved(removed: readonly string[]): Promise<void> {
    const sealing = chosen;
    if (sealing === null || !file.keys.has(sealing)) return;
    const useless = removed.filter((id) => id !== sealing && file.keys.has(id));
    if (useless.length === 0) return;
    await db.begin(async (tx) => {
      await lockMasterKeyFiles(tx);
      const present = await readMasterKeys(masterKeyPath(home));
      await rewriteMasterKeys(home, { current: sealing, keys: withoutKeys(present, useless) });
    });
    file = await readMasterKeys(masterKeyPath(home));
    log.info({ keys: useless }, 'master keys that seal nothing any more were removed from the file of this home');
  }

  const ring: MasterKeyRing = {
    get current() {
      return chosen !== null && file.keys.has(chosen) ? chosen : file.current;
    },
    get keys() {
      return file.keys;
    },
    reread: async () => {
      file = await readMasterKeys(masterKeyPath(home));
      const { sealing, next, removed } = await readMasterKeyState(db);
      chosen = sealing;
      needed = [sealing, next].filter((id) => id !== null);
      for (const id of lacking()) await fetchKey(id);
      await forgetRemoved(removed);
    },
    run: async (signal) => {
      const bell = createBell();
      const listening = await ringAtChanges(db, ['setting'], bell);
      await takeTurns(bell, signal, async () => {
        await rereadIfPossible();
        return lacking().length > 0 ? soonMs : lateLookMs;
      });
      await listening.unlisten();
    },
    detail: () => ({ masterKeys: { current: ring.current, held: [...file.keys.keys()] } }),
  };
  const rereadIfPossible = async () =>
    await ring.reread().catch((error: unknown) => {
      log.warn({ reason: messageOf(error) }, 'the master keys could not be read again; keeping the known ones');
    });
  // The key may have changed while nothing ran here; the caller opens values with it next.
  await rereadIfPossible();
  return ring;
}
