/**
 * Delivers what is in the outbox until it is told to stop.
 *
 * Invariants: an attempt at one target delays no other; no session of the database is held while the other side is waited
 * for; whatever fails is tried again, later each time, until it is given up (outbox.ts). What an administration service writes
 * here is under the release lock: once it is fenced it claims nothing, and what it was sending is sent again by another.
 */
import { createBell } from '../base/bell.ts';
import { hasPassed, systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { takeTurns } from '../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../database/change-notices.ts';
import type { Database, Transaction } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';
import { administrationTransaction } from '../database/release-lock.ts';
import {
  type ClaimedNotice,
  claimDue,
  nextDueMs,
  releaseClaim,
  settleDelivered,
  settleFailed,
  trimOutbox,
} from './outbox.ts';
import type { Teller } from './tell.ts';

/** By failures in a row; the last one from then on. Each a fifth more or less, so that not everybody knocks at once. */
const retryMs = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000];

/** Between two looks at what is too old or too much. */
const trimMs = 30_000;

interface DeliveryOptions {
  db: Database;
  tell: Teller;
  /** Of an administration service. */
  release?: string;
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  signal: AbortSignal;
}

export async function deliverNotices({ db, tell, release, log, signal }: DeliveryOptions): Promise<void> {
  const bell = createBell();
  const listening = await ringAtChanges(db, ['notice'], bell);
  const attempts = new Set<Promise<void>>();
  const write = async <Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result> =>
    release === undefined ? ((await db.begin(work)) as Result) : await administrationTransaction(db, release, work);

  async function attempt(claimed: ClaimedNotice): Promise<void> {
    const { target, failures, notice } = claimed;
    try {
      const outcome = await tell(claimed, signal);
      if (outcome.kind === 'delivered') {
        await write((tx) => settleDelivered(tx, claimed));
        log.info({ target: target.name, notice: notice.kind }, 'notice delivered');
        return;
      }
      const waitMs = Math.max(outcome.retryAfterMs ?? 0, retryDelayMs(failures));
      await write((tx) => settleFailed(tx, claimed, { error: outcome.answer, retryMs: waitMs }));
      log.warn(
        { target: target.name, notice: notice.kind, error: outcome.answer, retrySeconds: Math.round(waitMs / 1000) },
        'notice not delivered; will retry',
      );
    } catch (error) {
      if (signal.aborted) await write((tx) => releaseClaim(tx, claimed)).catch(() => {});
      // Otherwise the claim runs out, and the notice is sent again.
      else log.warn({ target: target.name, error: messageOf(error) }, 'an attempt was not recorded; will retry');
    }
  }

  let trimmedAt = Number.NEGATIVE_INFINITY;
  async function trim(): Promise<void> {
    if (!hasPassed(systemClock, trimmedAt, trimMs)) return;
    trimmedAt = systemClock.now();
    const dropped = await write(trimOutbox);
    if (dropped > 0) log.warn({ dropped }, 'notices were given up: too old or too many');
  }

  async function turn(): Promise<number> {
    await trim();
    for (const claimed of await write(claimDue)) {
      const begun = attempt(claimed).finally(() => {
        attempts.delete(begun);
        bell.ring();
      });
      attempts.add(begun);
    }
    return Math.min(lateLookMs, Math.max(100, (await nextDueMs(db)) ?? lateLookMs));
  }

  let failed = 0;
  await takeTurns(bell, signal, async () => {
    try {
      const restMs = (await hasTable(db, 'notice')) ? await turn() : lateLookMs;
      failed = 0;
      return restMs;
    } catch (error) {
      failed++;
      log.warn({ error: messageOf(error) }, 'notices were not looked at; will retry');
      return Math.min(lateLookMs, 1000 * 2 ** failed);
    }
  });
  await Promise.all(attempts);
  await listening.unlisten();
}

/** After so many failures before this one. */
function retryDelayMs(failures: number): number {
  const base = retryMs[Math.min(failures, retryMs.length - 1)] ?? 0;
  return base * (0.8 + 0.4 * Math.random());
}
