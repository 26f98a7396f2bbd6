/**
 * The policy service inside a server instance: releases owed deliveries of the instance's accounts, as the budget
 * allows; wakes their devices; makes silent ones suspects; records what holds sending back. Invariant: every turn
 * starts from the database, so if a service is killed anywhere, the next turn of another continues; a failing step is
 * logged and does not prevent the others. It works only for the accounts of its own instance, except for deliveries
 * abandoned by instances that take no turns (suspects.ts); each write is under the account fence.
 */
import { createBell } from '../base/bell.ts';
import { type Clock, hasPassed } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { takeTurns } from '../base/turns.ts';
import type { Database } from '../database/connection.ts';
import { recordEvent } from '../domain/events.ts';
import { identitySettingsSchema } from '../domain/identity-settings.ts';
import { readSetting } from '../domain/settings.ts';
import type { SkippedPart } from '../platforms/order.ts';
import type { Platforms } from '../platforms/port.ts';
import type { WakeClient } from '../platforms/waking.ts';
import type { Logger } from '../process/log/logger.ts';
import type { PaceAfterMove } from './after-move.ts';
import { applyBudget, type Budget, readBudget } from './budget.ts';
import { type DeliverySettings, deliverySettingsSchema } from './delivery-settings.ts';
import { isAnyRenewalDue, oweRenewals, readRenewalsUnderWay } from './owe-renewals.ts';
import { createPacedLook, type PacedLook } from './paced-look.ts';
import { collectStrayPermits } from './permits.ts';
import { createPreparation, type Prepare, type RenewalOrders } from './prepare-deliveries.ts';
import {
  type Candidate,
  listOwed,
  readTokens,
  releaseBudgeted,
  releaseUnbudgeted,
  settleWithoutSending,
} from './release-store.ts';
import { renewalsAllowed } from './renewal-pace.ts';
import {
  createOpenCount,
  type HoldReason,
  holdReason,
  readSlots,
  recordHold,
  type Situation,
  waveWindow,
} from './situation.ts';
import { markSuspects, takeBackForgotten, takeBackSilent } from './suspects.ts';
import { createChore, oweRefusedPolicies, trimCommands } from './upkeep.ts';
import { createWaker } from './waker.ts';

export interface PolicyServiceOptions {
  readonly db: Database;
  readonly instance: { readonly id: string; readonly srpIdentifier: string; readonly name: string };
  /** Of this process: included in what it compiles. */
  readonly release: string;
  readonly domain: {
    readonly domainId: string;
    readonly name: string;
    readonly publicUrl: string;
    readonly tunnelHost: string;
    readonly pushTopic: string;
  };
  readonly platforms: Platforms;
  /** By platform. */
  readonly wakeClients: ReadonlyMap<string, Pick<WakeClient, 'wake' | 'pausedForMs'>>;
  readonly identityRenewal: {
    /** Whether every component supports renewals. */
    readonly isActive: () => Promise<boolean>;
    readonly orders: RenewalOrders;
  };
  readonly clock: Clock;
  readonly log: Logger;
  /** Time between two turns while something is to be sent. Default 200 ms. */
  readonly turnMs?: number;
}

export interface PolicyServiceCounts {
  readonly released: number;
  /** Settled without sending, because there was nothing to send after all. */
  readonly settled: number;
  readonly suspects: number;
  readonly woken: number;
  readonly failedSteps: number;
}

export interface PolicyService {
  /** Takes turns until the signal is aborted, then resolves, with no push in progress. */
  run(signal: AbortSignal): Promise<void>;
  /** One turn; pushes go on behind it (see {@link PolicyService.pushed}). Never rejects. */
  tick(signal?: AbortSignal): Promise<void>;
  /** Resolves when no push is in progress. */
  pushed(): Promise<void>;
  counts(): PolicyServiceCounts;
}

const batchSize = 100;
const maxBatchesPerTurn = 20;
/** Other instances' owed deliveries may come before our own: skipping them takes at most a tenth of the time. */
const durationsPerListing = 10;
/** Interval of the check for due renewals while there are none. */
const renewalLookMs = 15_000;
/** The same while there are some: not all of them may start at once. */
const renewalsAgainMs = 5000;
/**
 * Time between two turns while nothing is to be sent, but something is pending: devices have not answered yet and may
 * fall silent, an account was locked, a step failed.
 */
const awaitingMs = 1000;
/**
 * The same while nothing is known to become due earlier; a notification on channel `bramble_delivery` ends the wait.
 */
const quietMs = 15_000;

export function createPolicyService(options: PolicyServiceOptions): PolicyService {
  const { db, instance, clock, log, domain } = options;
  const by = { instanceId: instance.id, release: options.release };
  const counts = { released: 0, settled: 0, suspects: 0, woken: 0, failedSteps: 0 };
  const prepare = createPreparation({
    domain: { domainId: domain.domainId, name: domain.name, tunnelUrl: tunnelUrlOf(domain) },
    srpIdentifier: instance.srpIdentifier,
    release: options.release,
    onSkipped: (candidate, skipped) => reportSkipped(candidate, skipped),
    platforms: options.platforms,
    renewalOrders: options.identityRenewal.orders,
  });
  const waker = createWaker({
    ...{ db, instanceId: instance.id, clock, log },
    channel: domain.pushTopic,
    clients: options.wakeClients,
  });
  const isDue = {
    settings: createChore(clock, 1000),
    suspects: createChore(clock, 1000),
    strays: createChore(clock, 2000),
    refused: createChore(clock, 15_000),
    trim: createChore(clock, 60_000),
  };
  const openCount = createOpenCount(clock);
  const listing = {
    unheld: createPacedLook(clock, durationsPerListing),
    held: createPacedLook(clock, durationsPerListing),
  };
  let paces: { budget: Budget; delivery: DeliverySettings } | undefined;
  let budgetApplied = false;
  const renewals = { areHeldBack: false, lookedAt: Number.NEGATIVE_INFINITY, lookAgainMs: 0 };
  const background = new Set<Promise<void>>();

  function reportSkipped(candidate: Candidate, skipped: readonly SkippedPart[]): void {
    const parts = skipped.map((part) => part.message).join('; ');
    log.warn({ account: candidate.accountName, item: candidate.item, skipped }, 'parts were omitted');
    inBackground('report what was left out', async () => {
      const message =
        `Omitted from the ${candidate.item} for ${candidate.accountName} and others like it: ${parts}. The rest was ` +
        'sent.';
      await recordEvent(db, {
        kind: 'delivery-part-skipped',
        subject: candidate.accountName,
        message,
        detail: { skipped },
      });
    });
  }

  function inBackground(name: string, work: () => Promise<void>): void {
    const running = step(name, work).finally(() => background.delete(running));
    background.add(running);
  }

  async function step(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      counts.failedSteps += 1;
      log.error({ step: name, error: messageOf(error) }, 'a step of the policy service failed; will retry next turn');
    }
  }

  /** Milliseconds until the rest may be released; Infinity if there is none. */
  async function releaseUnheld(): Promise<number> {
    const dueInMs = listing.unheld.dueInMs();
    if (dueInMs > 0) return dueInMs;
    for (let batch = 0; batch < maxBatchesPerTurn; batch += 1) {
      const candidates = await listing.unheld.look(() => listOwed(db, instance.id, false, batchSize));
      if (candidates.length === 0) return Infinity;
      const { prepared, settlements } = await prepare(db, candidates);
      const settled = await settleWithoutSending(db, by, settlements);
      const released = await releaseUnbudgeted(db, by, prepared);
      counts.settled += settled.length;
      counts.released += released.length;
      // Deliveries skipped because their account is locked follow in the next turn.
      if (settled.length + released.length < candidates.length) return awaitingMs;
    }
    return awaitingMs;
  }

  async function releaseHeld(
    delivery: DeliverySettings,
    budget: Budget,
  ): Promise<{ situation: Situation; reason: HoldReason | undefined; dueInMs: number }> {
    const { open, dueInMs } = await openCount.now(db, instance.id, delivery);
    const slots = await readSlots(db, instance.id, delivery.expectSeconds, budget.suspectAfterSeconds);
    const situation = { owed: open.owed, released: open.released, ...slots };
    // No hold is recorded then: only the postponed query could tell it.
    if (situation.owed > 0 && listing.held.dueInMs() > 0) return { situation, reason: undefined, dueInMs };
    const outcome = await releaseWithin(db, by, { situation, pace: delivery, listing: listing.held }, prepare);
    counts.released += outcome.released;
    counts.settled += outcome.settled;
    openCount.gone(outcome.released, outcome.settled);
    const gone = outcome.released + outcome.settled;
    // A delivery that is not due yet is not held back.
    const ripe = { ...situation, owed: situation.owed - open.unripe };
    return { situation, reason: holdReason(ripe, outcome.tokens, gone), dueInMs };
  }

  /** How long the next turn may wait: until the earliest due time known to this one. */
  async function turn(signal?: AbortSignal): Promise<number> {
    const busyMs = options.turnMs ?? 200;
    const before = { ...counts };
    let restMs = quietMs;
    const dueIn = (ms: number) => {
      restMs = Math.min(restMs, ms);
    };
    await step('read settings', async () => {
      if (paces && !isDue.settings()) return;
      const budget = await readBudget(db);
      paces = { budget, delivery: await readSetting(db, 'delivery', deliverySettingsSchema) };
      if (budgetApplied) return;
      await db.begin(async (tx) => await applyBudget(tx, budget, [instance.id]));
      budgetApplied = true;
    });
    if (!paces) return busyMs;
    const { budget, delivery } = paces;
    if (isDue.strays()) await step('collect stray permits', async () => void (await collectStrayPermits(db)));
    if (isDue.suspects()) {
      await step('mark suspects', async () => {
        await takeBackSilent(db, instance.id, budget.suspectAfterSeconds);
        await takeBackForgotten(db, budget.suspectAfterSeconds);
        counts.suspects += (await markSuspects(db, instance.id, budget.suspectAfterSeconds)).length;
      });
    }
    await step('release what is not held back', async () => {
      dueIn(await releaseUnheld());
    });
    let situation: Situation | undefined;
    await step('release within the budget', async () => {
      const held = await releaseHeld(delivery, budget);
      situation = held.situation;
      dueIn(held.dueInMs);
      if (held.reason) await recordHold(db, instance.id, held.reason, held.situation.owed);
    });
    await step('wake', async () => {
      const free = situation ? Math.min(situation.freeInstance, situation.freeDomain) : 0;
      const { woken, dueInMs } = await waker.wake(delivery, free, signal);
      counts.woken += woken;
      dueIn(dueInMs);
    });
    let owedAgain = 0;
    if (isDue.refused()) {
      await step('owe refused policies again', async () => {
        owedAgain += await oweRefusedPolicies(db, instance.id, delivery.redeliverAfterSeconds);
      });
    }
    if (hasPassed(clock, renewals.lookedAt, renewals.lookAgainMs)) {
      Object.assign(renewals, { lookedAt: clock.now(), lookAgainMs: renewalsAgainMs });
      await step('owe renewals of identities', async () => {
        renewals.areHeldBack = false;
        if (!(await options.identityRenewal.isActive()) || !(await isAnyRenewalDue(db, instance.id))) {
          renewals.lookAgainMs = renewalLookMs;
          return;
        }
        const allowed = renewalsAllowed(budget, await readRenewalsUnderWay(db, instance.id, delivery.expectSeconds));
        const settings = await readSetting(db, 'device-identity', identitySettingsSchema);
        const begun = allowed === 0 ? 0 : await oweRenewals(db, instance.id, settings, allowed);
        renewals.areHeldBack = begun === allowed;
        owedAgain += begun;
      });
    }
    if (renewals.areHeldBack) dueIn(renewals.lookedAt + renewals.lookAgainMs - clock.now());
    if (isDue.trim()) {
      await step('trim the command table', async () => {
        await trimCommands(db, instance.id, delivery.trimCommandsAfterSeconds, 1000);
      });
    }
    if (situation === undefined || situation.owed + situation.released + owedAgain > 0) return busyMs;
    const hasSent = (['released', 'settled', 'woken'] as const).some((what) => counts[what] > before[what]);
    if (hasSent) return busyMs;
    if (situation.takenInstance > 0 || counts.failedSteps > before.failedSteps) dueIn(awaitingMs);
    return restMs;
  }

  async function pushed(): Promise<void> {
    await waker.idle();
    await Promise.allSettled(background);
  }

  async function run(signal: AbortSignal): Promise<void> {
    const bell = createBell(clock);
    let listening: { unlisten(): Promise<void> } | undefined;
    // Without notifications every turn still happens, only later.
    await step('listen', async () => {
      listening = await db.listen('bramble_delivery', bell.ring);
    });
    try {
      await takeTurns(bell, signal, () => turn(signal));
    } finally {
      await step('stop listening', async () => void (await listening?.unlisten()));
      await pushed();
    }
  }

  const tick = async (signal?: AbortSignal): Promise<void> => void (await turn(signal));
  return { run, tick, pushed, counts: () => ({ ...counts }) };
}

/** Releases as many budgeted deliveries as rates and wave window allow; nothing is read that could not be released. */
async function releaseWithin(
  db: Database,
  by: { readonly instanceId: string; readonly release: string },
  { situation, pace, listing }: { situation: Situation; pace: PaceAfterMove; listing: PacedLook },
  prepare: Prepare,
): Promise<{ released: number; settled: number; tokens: { instance: number; domain: number } }> {
  const tokens = await readTokens(db, by.instanceId);
  const affordable = Math.floor(Math.min(tokens.instance, tokens.domain) + 1e-9);
  const window = waveWindow(situation);
  if (situation.owed === 0 || affordable < 1 || window < 1) return { released: 0, settled: 0, tokens };
  const limit = Math.min(affordable, batchSize);
  const owed = await listing.look(() => listOwed(db, by.instanceId, true, limit, pace));
  const devices = new Set<string>();
  const candidates = owed.filter(({ deviceId }) => {
    if (!devices.has(deviceId) && devices.size >= window) return false;
    devices.add(deviceId);
    return true;
  });
  const { prepared, settlements } = await prepare(db, candidates);
  const settled = await settleWithoutSending(db, by, settlements);
  if (prepared.length === 0) return { released: 0, settled: settled.length, tokens };
  const outcome = await releaseBudgeted(db, by, prepared);
  return { released: outcome.released.length, settled: settled.length, tokens: outcome.tokens };
}

function tunnelUrlOf(domain: { readonly publicUrl: string; readonly tunnelHost: string }): string {
  const { port } = new URL(domain.publicUrl);
  return `https://${domain.tunnelHost}${port === '' ? '' : `:${port}`}`;
}
