/**
 * What a turn of the policy service releases: all that is not held back, and of the rest as much as slots, wave window
 * and rates allow. Invariant: however much is open in the domain, looking through it takes a bounded share of the time;
 * nothing is read that could not be released.
 */
import type { Clock } from '../base/clock.ts';
import type { Database } from '../database/connection.ts';
import type { PaceAfterMove } from './after-move.ts';
import { createPacedLook, type PacedLook } from './paced-look.ts';
import type { Paces } from './paces.ts';
import type { Prepare } from './prepare-deliveries.ts';
import {
  type Compiler,
  listOwed,
  readTokens,
  releaseBudgeted,
  releaseUnbudgeted,
  settleWithoutSending,
} from './release-store.ts';
import { createOpenCount, type HoldReason, holdReason, readSlots, type Situation, waveWindow } from './situation.ts';

interface ReleasingParts {
  readonly db: Database;
  readonly by: Compiler;
  readonly prepare: Prepare;
  readonly clock: Clock;
}

export interface HeldOutcome {
  readonly situation: Situation;
  /** Undefined if this turn did not look far enough to tell. */
  readonly reason: HoldReason | undefined;
  /** Milliseconds until deliveries that this turn did not see may be due; Infinity if it saw all. */
  readonly dueInMs: number;
}

export interface Releasing {
  /** Milliseconds until the rest may be released; Infinity if there is none. */
  unheld(): Promise<number>;
  withinBudget(paces: Paces): Promise<HeldOutcome>;
  /** Deliveries since the beginning. `settled`: without sending, because there was nothing to send after all. */
  counts(): { readonly released: number; readonly settled: number };
}

const batchSize = 100;
const maxBatchesPerTurn = 20;
/** Other instances' owed deliveries may come before our own: skipping them takes at most a tenth of the time. */
const durationsPerListing = 10;
/** Until those that were skipped because their account is locked, that were too many, or not due yet, are released. */
const restAgainMs = 1000;

export function createReleasing(parts: ReleasingParts): Releasing {
  const { db, by, prepare, clock } = parts;
  const openCount = createOpenCount(clock);
  const listing = {
    unheld: createPacedLook(clock, durationsPerListing),
    held: createPacedLook(clock, durationsPerListing),
  };
  const counts = { released: 0, settled: 0 };

  async function unheld(): Promise<number> {
    const dueInMs = listing.unheld.dueInMs();
    if (dueInMs > 0) return dueInMs;
    for (let batch = 0; batch < maxBatchesPerTurn; batch += 1) {
      const candidates = await listing.unheld.look(() => listOwed(db, by.instanceId, false, batchSize));
      if (candidates.length === 0) return Infinity;
      const { prepared, settlements } = await prepare(db, candidates);
      const settled = await settleWithoutSending(db, by, settlements);
      const released = await releaseUnbudgeted(db, by, prepared);
      counts.settled += settled.length;
      counts.released += released.length;
      if (settled.length + released.length < candidates.length) return restAgainMs;
    }
    return restAgainMs;
  }

  async function withinBudget({ delivery, budget }: Paces): Promise<HeldOutcome> {
    const { open, dueInMs: countDueInMs } = await openCount.now(db, by.instanceId, delivery);
    const slots = await readSlots(db, by.instanceId, delivery.expectSeconds, budget.suspectAfterSeconds);
    const counted = { owed: open.owed, released: open.released, ...slots };
    // Where others have much open a count is old: what is owed since is found by looking for it.
    const isOld = countDueInMs < Infinity;
    const mayBeOwed = counted.owed > 0 || isOld;
    const listDueInMs = listing.held.dueInMs();
    const dueInMs = isOld ? Math.min(countDueInMs, Math.max(restAgainMs, listDueInMs)) : Infinity;
    // Only the postponed query could tell what holds it back.
    if (mayBeOwed && listDueInMs > 0) return { situation: counted, reason: undefined, dueInMs };
    const outcome = await releaseWithin(parts, {
      situation: counted,
      mayBeOwed,
      pace: delivery,
      listing: listing.held,
    });
    counts.released += outcome.released;
    counts.settled += outcome.settled;
    openCount.gone(outcome.released, outcome.settled);
    const gone = outcome.released + outcome.settled;
    const situation = { ...counted, owed: Math.max(counted.owed, gone) };
    // A delivery that is not due yet is not held back.
    const ripe = { ...situation, owed: situation.owed - open.unripe };
    return { situation, reason: holdReason(ripe, outcome.tokens, gone), dueInMs };
  }

  return { unheld, withinBudget, counts: () => ({ ...counts }) };
}

/** Releases as many budgeted deliveries as rates and wave window allow. */
async function releaseWithin(
  { db, by, prepare }: ReleasingParts,
  ask: { situation: Situation; mayBeOwed: boolean; pace: PaceAfterMove; listing: PacedLook },
): Promise<{ released: number; settled: number; tokens: { instance: number; domain: number } }> {
  const { situation, mayBeOwed, pace, listing } = ask;
  const tokens = await readTokens(db, by.instanceId);
  const affordable = Math.floor(Math.min(tokens.instance, tokens.domain) + 1e-9);
  const window = waveWindow(situation);
  if (!mayBeOwed || affordable < 1 || window < 1) return { released: 0, settled: 0, tokens };
  const limit = Math.min(affordable, batchSize);
  const owed = await listing.look(() => listOwed(db, by.instanceId, true, limit, pace));
  const { prepared, settlements } = await prepare(db, ofFirstDevices(owed, window));
  const settled = await settleWithoutSending(db, by, settlements);
  if (prepared.length === 0) return { released: 0, settled: settled.length, tokens };
  const outcome = await releaseBudgeted(db, by, prepared);
  return { released: outcome.released.length, settled: settled.length, tokens: outcome.tokens };
}

/** What is owed to the first `limit` devices of the list. Pure. */
export function ofFirstDevices<Owed extends { readonly deviceId: string }>(
  owed: readonly Owed[],
  limit: number,
): Owed[] {
  const devices = new Set<string>();
  return owed.filter(({ deviceId }) => {
    if (!devices.has(deviceId) && devices.size >= limit) return false;
    devices.add(deviceId);
    return true;
  });
}
