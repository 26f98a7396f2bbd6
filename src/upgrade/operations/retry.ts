/**
 * An operator has what failed tried again, and nothing else: moves that were given up, and deliveries that devices refused.
 * What paused the upgrade because of failed moves is over with that; any other pause stays, and so does what a gate has seen.
 */
import { counted } from '../../base/counted.ts';
import type { Transaction } from '../../database/connection.ts';
import { oweAgainAfter } from '../../deliveries/owe-again.ts';
import { pauseUpgradeBatches, resumeUpgradeBatches } from '../../moves/move-reports.ts';
import { upgradeStates } from '../state/upgrade-states.ts';
import { readPauseCause, recordUpgradeEvent, transition } from '../state/upgrade-store.ts';
import { movesThatStand } from '../state/wave-accounts.ts';
import { listWaves } from '../state/wave-store.ts';
import { queueMoves } from '../waves/latecomers.ts';
import { heldBySchedule, readSchedule } from '../waves/schedule.ts';
import { lockedUpgrade, type Operator, wrongState } from './operator-actions.ts';

interface Retried {
  readonly moves: number;
  readonly deliveries: number;
  /** Why it is still paused. */
  readonly pauseReason: string | null;
}

/** @throws BrambleError ERR_UPGRADE_NONE, ERR_UPGRADE_STATE where no accounts are moved. */
export async function retryByOperator(tx: Transaction, order: Operator): Promise<Retried> {
  const upgrade = await lockedUpgrade(tx);
  const position = upgrade.pausedFrom ?? upgrade.state;
  if (upgrade.plan.inPlace || !upgradeStates.has('in-waves', position)) {
    throw wrongState(upgrade, 'be retried; accounts are not being moved to the new release');
  }
  const begun = (await listWaves(tx, upgrade.id)).findLast(({ state }) => state !== 'waiting');
  const moves = begun === undefined ? 0 : await queueMoves(tx, upgrade, begun.number, order.by);
  const deliveries = await oweAgainAfter(tx, movesThatStand(tx, upgrade.id));
  if (moves + deliveries > 0) {
    const what = `${counted(moves, 'move')}, ${counted(deliveries, 'delivery')}`;
    await recordUpgradeEvent(tx, upgrade, `${order.by} has what failed tried again: ${what}`);
  }
  if (upgrade.pausedFrom === null) return { moves, deliveries, pauseReason: null };
  if ((await readPauseCause(tx, upgrade)) !== 'failed-moves') {
    const reason = upgrade.pauseReason ?? 'no reason given';
    await pauseUpgradeBatches(tx, upgrade.id, reason);
    return { moves, deliveries, pauseReason: reason };
  }
  const isHeld = heldBySchedule(await readSchedule(tx, upgrade.plan.options)) !== undefined;
  if (!isHeld) await resumeUpgradeBatches(tx, upgrade.id);
  await transition(tx, upgrade, upgrade.pausedFrom, { message: `resumed by ${order.by} with what had failed` });
  return { moves, deliveries, pauseReason: null };
}
