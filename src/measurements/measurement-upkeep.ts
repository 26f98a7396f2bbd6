/**
 * Keeps the measurement tables small: requests as seen by routers and instances, and interruptions of components. Every
 * instance does it for all of them, a little per turn; concurrent ones just find less to do.
 */

import { retentionSchema } from '../api/retention.ts';
import type { Clock } from '../base/clock.ts';
import { createUpkeep, type Upkeep } from '../component/upkeep.ts';
import type { Database, Queryable } from '../database/connection.ts';
import { readSetting } from '../domain/settings.ts';
import type { Logger } from '../process/log/logger.ts';
import { trimInterruptions } from '../registry/interruption-upkeep.ts';
import { gatherIntoHours } from './outcome-store.ts';

/** A gate reads back to the moves of its wave, which may be hours ago. */
const tenSecondsLastHours = 6;
const reportsLastDays = 1;
const interruptionsLastDays = 30;
/** Per table and turn. Ten times what 10,000 devices produce in that time. */
const maxRows = 20_000;

export function createMeasurementUpkeep(parts: { db: Database; clock: Clock; log: Logger }): Upkeep {
  const { db } = parts;
  return createUpkeep({
    ...parts,
    of: 'measurements',
    steps: {
      'gather outcomes': () => gatherIntoHours(db, tenSecondsLastHours, maxRows),
      'trim outcomes': () => trimOutcomes(db),
      'trim samples': () => trimSamples(db),
      'trim reports': () => trimReports(db),
      'trim interruptions': () => trimInterruptions(db, interruptionsLastDays),
    },
  });
}

/** How long the usual rate and latency of accounts is known. */
async function sampleDays(q: Queryable): Promise<number> {
  return (await readSetting(q, 'retention', retentionSchema)).sampleDays;
}

/** Through request_outcome_bucket. */
async function trimOutcomes(q: Queryable): Promise<void> {
  const samplesLastDays = await sampleDays(q);
  await q`
    delete from request_outcome where ctid = any(array(
      select ctid from request_outcome
       where seconds = 3600 and bucket < now() - make_interval(days => ${samplesLastDays})
       limit ${maxRows} for update skip locked))`;
}

/** Through request_sample_bucket. */
async function trimSamples(q: Queryable): Promise<void> {
  const samplesLastDays = await sampleDays(q);
  await q`
    delete from request_sample where ctid = any(array(
      select ctid from request_sample where bucket < now() - make_interval(days => ${samplesLastDays})
       limit ${maxRows} for update skip locked))`;
}

/** A few rows for each start of a router. */
async function trimReports(q: Queryable): Promise<void> {
  await q`delete from outcome_report where counted_at < now() - make_interval(days => ${reportsLastDays})`;
}
