/**
 * Pausing, by hand or by a gate: the upgrade's state and the batches of moves change in one transaction, so that from
 * its commit on nothing new starts (invariant 10).
 */
import type { Transaction } from '../../database/connection.ts';
import { pauseUpgradeBatches } from '../../moves/move-reports.ts';
import { transition, type Upgrade } from '../state/upgrade-store.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction } from './step-context.ts';

/** `reason` is for people; `detail` has the figures behind it, those of a gate under `gate`. */
export async function pauseUpgrade(
  tx: Transaction,
  upgrade: Upgrade,
  reason: string,
  detail: Readonly<Record<string, unknown>> = {},
): Promise<'paused' | 'conflict'> {
  const outcome = await transition(tx, upgrade, 'paused', {
    message: `paused: ${reason}`,
    pauseReason: reason,
    detail,
  });
  if (outcome.kind === 'conflict') return 'conflict';
  await pauseUpgradeBatches(tx, upgrade.id, reason);
  return 'paused';
}

/** {@link pauseUpgrade} as a step of the coordinator. */
export async function pauseStep(
  context: StepContext,
  upgrade: Upgrade,
  reason: string,
  detail: Readonly<Record<string, unknown>> = {},
): Promise<StepOutcome> {
  return await stepTransaction(context, 'pause', upgrade, async (tx, current) => {
    await pauseUpgrade(tx, current, reason, detail);
    return advanced;
  });
}
