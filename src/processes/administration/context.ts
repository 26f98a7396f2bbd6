/** The context of every route of the administration service, and the only way in which routes write. */

import { recordedRequest, type Stated } from '../../access/audited-request.ts';
import type { NameLookups } from '../../base/name-lookups.ts';
import type { Database, Transaction } from '../../database/connection.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import type { MasterKeys } from '../../database/sealed-value.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { Logger } from '../../process/log/logger.ts';
import type { Feature } from '../../registry/features.ts';

export interface AdministrationContext {
  db: Database;
  /** Name of this component. */
  name: string;
  /** The release of this administration service. */
  release: string;
  features: readonly Feature[];
  platforms: Platforms;
  /** Its host: the default for new processes. */
  host: string;
  /** Folder BRAMBLE_HOME: issued SRP credentials are put into `credentials/`. */
  home: string;
  masterKeys: MasterKeys;
  /** Of this process, for names that administrators chose. */
  names: NameLookups;
  log: Logger;
  /** Aborted when the service is to end: answers that would go on for ever end then. */
  stopping?: AbortSignal;
}

/**
 * Runs a write under the release lock, and records who asked for it and what it changed. To refuse, `work` must throw:
 * a refusal that is returned would be recorded as done, since a locked row counts as a write.
 * @param as as for `recordedRequest`
 * @throws BrambleError ERR_RELEASE_FENCED when the domain is of another release by now.
 */
export async function write<Result>(
  context: AdministrationContext,
  work: (tx: Transaction) => Promise<Result>,
  as?: Stated,
): Promise<Result> {
  return await administrationTransaction(context.db, context.release, (tx) => recordedRequest(tx, work, as));
}
