/**
 * What a router remembers across a restart: the revocation list, whom it trusts, suspensions, and who was linked last.
 *
 * Invariant: after a restart it admits by the same rules as before; every change is written to disk, and a failure to
 * write is logged.
 */
import { messageOf } from '../../base/errors.ts';
import type { RevocationList, SignedEnvelope } from '../../link/messages.ts';
import type { Logger } from '../../process/log/logger.ts';
import { Admission } from './admission.ts';
import { createStateFile, readRouterState } from './router-state.ts';
import type { RouterTrust } from './router-trust.ts';

export interface RouterMemory {
  readonly admission: Admission;
  readonly trust: RouterTrust;
  /** The identifiers that were linked when the router last ended. */
  readonly linkedBefore: readonly string[];
  /** Writes the suspensions of `admission`, and the statements of `trust`. */
  save(): void;
  addLinked(identifier: string): void;
  /** False when the list is not newer than the one in force. */
  takeList(list: RevocationList, signed: SignedEnvelope): boolean;
  /** Forgets all who were linked earlier; resolves once that is on disk. */
  replaceLinked(identifiers: readonly string[]): Promise<void>;
}

/** @throws BrambleError ERR_ROUTER_STATE when the revocations cannot be read. */
export async function openRouterMemory(path: string, domainAuthorityPem: string, log: Logger): Promise<RouterMemory> {
  const kept = await readRouterState(path, domainAuthorityPem);
  const { trust } = kept;
  const file = createStateFile(path);
  const admission = new Admission({ list: kept.list, suspended: kept.state.suspended });
  let { list: envelope, linked } = kept.state;

  const write = () => {
    const statements = trust.statements.length === 0 ? {} : { statements: [...trust.statements] };
    return file.save({ list: envelope, suspended: admission.snapshot().suspended, linked, ...statements });
  };
  const save = () => {
    write().catch((error) => {
      log.error({ error: messageOf(error), path }, "the router's state was not written");
    });
  };

  return {
    ...{ admission, trust },
    linkedBefore: kept.state.linked,
    save,
    addLinked: (identifier) => {
      if (linked.includes(identifier)) return;
      linked = [...linked, identifier];
      save();
    },
    takeList: (list, signed) => {
      if (!admission.take(list)) return false;
      envelope = signed;
      save();
      return true;
    },
    replaceLinked: async (identifiers) => {
      linked = [...identifiers];
      await write();
    },
  };
}
