/**
 * Windows over moves that are queued: outside of the windows of the plan they wait, and go on when one opens. Those that have started
 * reach their end, and what devices are owed by then, they get.
 *
 * Invariant: this is the only thing that pauses batches of an upgrade that is not paused itself.
 */
import {
  hasPausedBatches,
  hasQueuedMoves,
  holdUpgradeBatches,
  resumeUpgradeBatches,
} from '../../moves/move-reports.ts';
import type { Schedule } from '../state/schedule-windows.ts';
import { recordUpgradeEvent, type Upgrade } from '../state/upgrade-store.ts';
import { heldBySchedule, readSchedule } from '../waves/schedule.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction } from './step-context.ts';

/** The schedule now, after the queued moves were brought into line with it; or the step that does so. */
export async function followSchedule(
  context: StepContext,
  read: Upgrade,
): Promise<{ schedule: Schedule; outcome?: StepOutcome }> {
  const schedule = await readSchedule(context.db, read.plan.options);
  const held = heldBySchedule(schedule);
  if (held === undefined) {
    if (!(await hasPausedBatches(context.db, read.id))) return { schedule };
    const outcome = await stepTransaction(context, 'open-window', read, async (tx, upgrade) => {
      await resumeUpgradeBatches(tx, upgrade.id);
      await recordUpgradeEvent(tx, upgrade, 'moves that waited for a window go on');
      return advanced;
    });
    return { schedule, outcome };
  }
  if (!(await hasQueuedMoves(context.db, read.id))) return { schedule };
  const outcome = await stepTransaction(context, 'close-window', read, async (tx, upgrade) => {
    await holdUpgradeBatches(tx, upgrade.id, `waits for ${held}`);
    await recordUpgradeEvent(tx, upgrade, `no window is open: moves that have not started wait for ${held}`);
    return advanced;
  });
  return { schedule, outcome };
}
