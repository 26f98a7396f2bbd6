/**
 * Delivers what is in the outbox until it is told to stop.
 *
 * Invariants: an attempt at one target delays no other; no session of the database is held while the other side is waited
 * for; whatever fails is tried again, later each time, until it is given up (outbox.ts).
 */
import { createBell } from '../base/bell.ts';
import { messageOf } from '../base/errors.ts';
import { takeTurns } from '../base/turns.ts';
import { lateLookMs, ringAtChanges } from '../database/change-notices.ts';
import type { Database } from '../database/connection.ts';
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

interface DeliveryOptions {
  db: Database;
  tell: Teller;
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  signal: AbortSignal;
}

export async function deliverNotices({ db, tell, log, signal }: DeliveryOptions): Promise<void> {
  const bell = createBell();
  const listening = await ringAtChanges(db, ['notice'], bell);
  const attempts = new Set<Promise<void>>();

  async function attempt(claimed: ClaimedNotice): Promise<void> {
    const { target, failures, notice } = claimed;
    try {
      const outcome = await tell(claimed, signal);
      if (outcome.kind === 'delivered') {
        await settleDelivered(db, claimed);
        log.info({ target: target.name, notice: notice.kind }, 'notice delivered');
        return;
      }
      const waitMs = Math.max(outcome.retryAfterMs ?? 0, retryDelayMs(failures));
      await settleFailed(db, claimed, { error: outcome.answer, retryMs: waitMs });
      log.warn(
        { target: target.name, notice: notice.kind, error: outcome.answer, retrySeconds: Math.round(waitMs / 1000) },
        'notice not delivered; will retry',
      );
    } catch (error) {
      if (signal.aborted) await releaseClaim(db, claimed).catch(() => {});
      // Otherwise the claim runs out, and the notice is sent again.
      else log.warn({ target: target.name, error: messageOf(error) }, 'an attempt was not recorded; will retry');
    }
  }

  async function turn(): Promise<number> {
    for (const claimed of await claimDue(db)) {
      const begun = attempt(claimed).finally(() => {
        attempts.delete(begun);
        bell.ring();
      });
      attempts.add(begun);
    }
    const dueMs = await nextDueMs(db);
    if (dueMs === null) return lateLookMs;
    const dropped = await trimOutbox(db);
    if (dropped > 0) log.warn({ dropped }, 'notices were given up: too old or too many');
    return Math.min(lateLookMs, Math.max(100, dueMs));
  }

  let failed = 0;
  await takeTurns(bell, signal, async () => {
    try {
      const [table] = await db<{ present: boolean }[]>`select to_regclass('notice') is not null as present`;
      const restMs = table?.present === true ? await turn() : lateLookMs;
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
