/**
 * The master keys of a home as a running process knows them: from the file, reread when the domain's choice of key changes
 * and now and then, since an operator may bring another file.
 *
 * Invariant: a key that was once held stays held until the file is readable without it. The key that seals is the one
 * that the domain has chosen, if it is held; it is chosen only when every process that reads such a file holds it.
 */
import { join } from 'node:path';
import { createBell } from '../base/bell.ts';
import { messageOf } from '../base/errors.ts';
import { takeTurns } from '../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../database/change-notices.ts';
import type { Database } from '../database/connection.ts';
import { type MasterKeys, readMasterKeys } from '../database/sealed-value.ts';
import { readMasterKeyState } from '../domain/master-key.ts';
import type { Logger } from '../process/log/logger.ts';
import type { ComponentDetail } from '../registry/component-detail.ts';

export interface MasterKeyRing extends MasterKeys {
  /** Reads file and choice again. @throws BrambleError ERR_MASTER_KEY; the known keys stay. */
  reread(): Promise<void>;
  /** Follows both until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** For the component's detail. */
  detail(): Pick<ComponentDetail, 'masterKeys'>;
}

export const masterKeyPath = (home: string): string => join(home, 'keys', 'master.json');

/** @throws BrambleError ERR_MASTER_KEY */
export async function openMasterKeyRing(parts: { db: Database; home: string; log: Logger }): Promise<MasterKeyRing> {
  const { db, home, log } = parts;
  let file = await readMasterKeys(masterKeyPath(home));
  let chosen = (await readMasterKeyState(db)).sealing;
  const ring: MasterKeyRing = {
    get current() {
      return chosen !== null && file.keys.has(chosen) ? chosen : file.current;
    },
    get keys() {
      return file.keys;
    },
    reread: async () => {
      file = await readMasterKeys(masterKeyPath(home));
      chosen = (await readMasterKeyState(db)).sealing;
    },
    run: async (signal) => {
      const bell = createBell();
      const listening = await ringAtChanges(db, ['setting'], bell);
      await takeTurns(bell, signal, async () => {
        await ring.reread().catch((error: unknown) => {
          log.warn({ reason: messageOf(error) }, 'the master keys could not be read again; keeping the known ones');
        });
        return lateLookMs;
      });
      await listening.unlisten();
    },
    detail: () => ({ masterKeys: { current: ring.current, held: [...file.keys.keys()] } }),
  };
  return ring;
}
