/**
 * Removes what is older than the domain keeps it: records of the audit, by a cut, events, idempotency keys, and what is over of
 * sign-in. Samples are trimmed by instances (`measurements/measurement-upkeep.ts`).
 *
 * Invariant: nobody waits for it. It removes rows that nobody writes any more, in batches of their own transactions with
 * rests in between, and steps back until the next turn where it would have to wait for a table.
 */
import { type HeadFile, openHeadFile } from '../../access/audit/head-file.ts';
import { recorded } from '../../access/audit/record.ts';
import {
  cutAudit,
  findCutPlace,
  keepCut,
  oldestSealAt,
  removeCutRecords,
  unremovedCut,
} from '../../access/audit/shortening.ts';
import { forgetOldKeys } from '../../access/idempotency.ts';
import { removeOldSignIns } from '../../access/sign-in/old-sign-ins.ts';
import { retentionSchema } from '../../api/retention.ts';
import type { Clock } from '../../base/clock.ts';
import { createUpkeep, type Upkeep } from '../../component/upkeep.ts';
import type { Database, Transaction } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import { isLockFailure } from '../../database/short-locks.ts';
import { removeEvents } from '../../domain/event-removal.ts';
import { readSetting } from '../../domain/settings.ts';
import type { Logger } from '../../process/log/logger.ts';

interface RetentionUpkeep {
  readonly db: Database;
  readonly release: string;
  /** Of this administration service, for the record. */
  readonly name: string;
  readonly home: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const batchRows = 1000;
const batchesPerTurn = 20;
/** Between two batches, in times of the last one's duration. */
const restFactor = 4;
const dayMs = 86_400_000;

export function createRetentionUpkeep(parts: RetentionUpkeep): Upkeep {
  const { db, release, name, home, clock, log } = parts;
  let opened: HeadFile | undefined;
  const headFile = async (): Promise<HeadFile> => {
    opened ??= await openHeadFile(home);
    return opened;
  };

  async function cut(): Promise<void> {
    const { auditDays } = await readSetting(db, 'retention', retentionSchema);
    if (auditDays === null) return;
    // Not by this host's clock: were it ahead, records would go for good that are to stay.
    const before = (await databaseTime(db)).getTime() - auditDays * dayMs;
    const oldest = await oldestSealAt(db);
    // Each cut leaves a record itself: one a day, not one for each record that comes of age.
    if (oldest === null || oldest.getTime() > before - dayMs) return;
    const place = await findCutPlace(db, new Date(before));
    if (place === undefined) return;
    const by = {
      actor: name,
      operation: 'shorten audit',
      subjects: [],
      from: { component: name },
      when: 'changed',
    } as const;
    const file = await headFile();
    const made = await administrationTransaction(db, release, (tx) =>
      recorded(tx, by, async () => await cutAudit(tx, file, { place, by: name, exportSha256: null })),
    );
    await keepCut(file, made);
    log.info({ after: made.after, upTo: made.number }, 'the audit was cut');
  }

  async function removeRecords(): Promise<void> {
    const left = await unremovedCut(db);
    if (left === undefined) return;
    await keepCut(await headFile(), left);
    await inBatches(async (tx) => await removeCutRecords(tx, left, batchRows));
  }

  async function removeOldEvents(): Promise<void> {
    const { eventDays } = await readSetting(db, 'retention', retentionSchema);
    if (eventDays !== null) await inBatches(async (tx) => await removeEvents(tx, eventDays, batchRows));
  }

  const forgetKeys = async (): Promise<void> => await inBatches(forgetOldKeys);

  const removeSignIns = async (): Promise<void> => await inBatches(removeOldSignIns);

  async function inBatches(remove: (tx: Transaction, most: number) => Promise<number>): Promise<void> {
    for (let batch = 0; batch < batchesPerTurn; batch++) {
      const startedAt = performance.now();
      const count = await administrationTransaction(db, release, async (tx) => {
        await tx`set local lock_timeout = '100ms'`;
        return await remove(tx, batchRows);
      }).catch((error: unknown) => {
        if (isLockFailure(error)) return 0;
        throw error;
      });
      if (count < batchRows) return;
      await clock.sleep((performance.now() - startedAt) * restFactor);
    }
  }

  return createUpkeep({
    of: 'what is kept',
    steps: {
      'cut the audit': cut,
      'remove records': removeRecords,
      'remove events': removeOldEvents,
      'forget idempotency keys': forgetKeys,
      'remove sign-ins': removeSignIns,
    },
    clock,
    log,
  });
}
