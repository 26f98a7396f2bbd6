/**
 * The upgrade coordinator: advances the upgrade from its row, step by step, while it holds the lease.
 *
 * Invariants: between two steps it keeps nothing that it could not reread from the database, so that another
 * coordinator can continue wherever it was killed; two at once behave as one, since every step commits only under the
 * row's lock and the lease.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { assertNever } from '../../base/assert-never.ts';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { GateMemory } from '../../upgrade/gates/gate-past.ts';
import { isPausable, isReversible } from '../../upgrade/state/upgrade-states.ts';
import {
  LeaseLostError,
  readOpenUpgrade,
  releaseLease,
  renewLease,
  setWaitingFor,
  takeLease,
  type Upgrade,
} from '../../upgrade/state/upgrade-store.ts';
import { WaveOutOfPlace } from '../../upgrade/state/wave-store.ts';
import { stepFinalizing } from '../../upgrade/steps/finalize-steps.ts';
import { startLateAdministrations } from '../../upgrade/steps/late-administrations.ts';
import { pauseStep } from '../../upgrade/steps/pausing.ts';
import {
  stepAdminFenced,
  stepAdminUpgraded,
  stepChecked,
  stepExpanded,
  stepPlanned,
} from '../../upgrade/steps/prepare-steps.ts';
import { stepReversing } from '../../upgrade/steps/reverse-steps.ts';
import { stepAllMoved, stepSoaking } from '../../upgrade/steps/soaking-steps.ts';
import {
  advanced,
  type StepContext,
  type StepOutcome,
  UpgradeChanged,
  waitingFor,
} from '../../upgrade/steps/step-context.ts';
import { stepMoving } from '../../upgrade/steps/wave-steps.ts';

type CoordinatorOutcome =
  | StepOutcome
  /** Another coordinator holds the lease. */
  | { kind: 'standby' }
  /** There is no open upgrade to this release. */
  | { kind: 'idle' };

/** One step: takes or renews the lease, reads the row, and does what its state requires. */
export async function stepOnce(context: StepContext): Promise<CoordinatorOutcome> {
  const seen = await readOpenUpgrade(context.db);
  if (seen === undefined || seen.toRelease !== context.release) return { kind: 'idle' };
  if (!(await takeLease(context.db, seen.id, context.holder))) return { kind: 'standby' };
  // Taking a lease that ended long ago notes that nobody looked meanwhile.
  const upgrade = seen.leaseHeld ? seen : await readOpenUpgrade(context.db);
  if (upgrade === undefined) return { kind: 'idle' };
  try {
    const outcome = await stepOrPause(context, upgrade);
    if (outcome.kind === 'waiting') await showWaiting(context, upgrade, outcome.for);
    return outcome;
  } catch (error) {
    if (error instanceof UpgradeChanged) return advanced;
    if (error instanceof LeaseLostError) return { kind: 'standby' };
    throw error;
  }
}

async function stepOrPause(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  try {
    return (await startLateAdministrations(context, upgrade)) ?? (await stepFor(context, upgrade));
  } catch (error) {
    if (!(error instanceof WaveOutOfPlace) || !isPausable(upgrade.state)) throw error;
    return await pauseStep(context, upgrade, error.message);
  }
}

async function stepFor(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  switch (upgrade.state) {
    case 'planned':
      return await stepPlanned(context, upgrade);
    case 'checked':
      return await stepChecked(context, upgrade);
    case 'admin-fenced':
      return await stepAdminFenced(context, upgrade);
    case 'expanded':
      return await stepExpanded(context, upgrade);
    case 'admin-upgraded':
      return await stepAdminUpgraded(context, upgrade);
    case 'moving':
      return await stepMoving(context, upgrade);
    case 'all-moved':
      return await stepAllMoved(context, upgrade);
    case 'soaking':
      return await stepSoaking(context, upgrade);
    case 'finalizing':
      return await stepFinalizing(context, upgrade);
    case 'reversing':
      return await stepReversing(context, upgrade);
    case 'paused':
      return waitingFor(
        upgrade.pausedFrom !== null && isReversible(upgrade.pausedFrom)
          ? 'an operator’s `bramble upgrade resume` or `bramble upgrade reverse`'
          : 'an operator’s `bramble upgrade resume`',
      );
    case 'done':
    case 'reversed':
    case 'cancelled':
      return waitingFor('nothing');
    default:
      return assertNever(upgrade.state);
  }
}

/** The current wait is stored in the row, for status; written when it changes. */
async function showWaiting(context: StepContext, read: Upgrade, reason: string): Promise<void> {
  if (read.progress.waitingFor !== reason) await setWaitingFor(context.db, read, reason);
}

interface CoordinatorLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

interface CoordinatorOptions extends StepContext {
  log: CoordinatorLog;
  signal: AbortSignal;
  /** Called after each step, with what it failed with. */
  stepped?: (error?: unknown) => void;
  /** Milliseconds between two polls of the row while waiting. Default 250. */
  intervalMs?: number;
}

/** Maximum delay before a failed step is retried. */
const maxRetryMs = 5000;
/**
 * A poll that finds nothing to do may read much (the figures of a gate): polling takes a tenth of the time, unless a
 * poll takes more than a second: an operator's command waits for the longest rest at most.
 */
const restPerLook = 9;
const maxRestMs = 10_000;
const leaseRenewalMs = 2500;

/**
 * Steps until the signal is aborted, then releases the lease. A failed step is shown and retried, since nothing of it
 * was recorded; the lease is renewed during a long one (a backfill).
 */
export async function runSteps(options: CoordinatorOptions): Promise<void> {
  const { signal, log } = options;
  const context: StepContext = { gateMemory: new GateMemory(), ...options };
  const renewal = renewLeaseBeside(options);
  let failures = 0;
  while (!signal.aborted) {
    try {
      const began = performance.now();
      const outcome = await stepOnce(context);
      failures = 0;
      options.stepped?.();
      if (outcome.kind === 'advanced') continue;
      const restMs = Math.min(maxRestMs, restPerLook * (performance.now() - began));
      await pause(Math.max(options.intervalMs ?? 250, restMs), signal);
    } catch (error) {
      if (signal.aborted) break;
      failures++;
      options.stepped?.(error);
      log.warn(
        { error: messageOf(error), code: isBrambleError(error) ? error.code : undefined },
        'step failed; will retry',
      );
      await showFailure(options, error).catch((reason: unknown) =>
        log.warn({ error: messageOf(reason) }, 'progress could not be shown'),
      );
      await pause(Math.min(maxRetryMs, 250 * 2 ** failures), signal);
    }
  }
  await renewal;
  const open = await readOpenUpgrade(options.db).catch(() => undefined);
  if (open) await releaseLease(options.db, open.id, options.holder).catch(() => {});
}

async function showFailure(context: StepContext, error: unknown): Promise<void> {
  const open = await readOpenUpgrade(context.db);
  if (open) await showWaiting(context, open, `the last step failed and will be retried: ${messageOf(error)}`);
}

async function renewLeaseBeside(options: CoordinatorOptions): Promise<void> {
  while (!options.signal.aborted) {
    await pause(leaseRenewalMs, options.signal);
    if (options.signal.aborted) return;
    try {
      const open = await readOpenUpgrade(options.db);
      if (open) await renewLease(options.db, open.id, options.holder);
    } catch (error) {
      options.log.warn({ error: messageOf(error) }, 'lease not renewed; will retry');
    }
  }
}

async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  await delay(durationMs, undefined, { signal }).catch(() => {});
}
