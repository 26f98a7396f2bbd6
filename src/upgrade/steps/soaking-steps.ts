/**
 * moving → all-moved → soaking once all waves have passed: the upgrade is observed until an operator decides, and accounts that come
 * meanwhile follow the others.
 */
import { counted } from '../../base/counted.ts';
import type { Transaction } from '../../database/connection.ts';
import type { Schedule } from '../state/schedule-windows.ts';
import { finalDecision } from '../state/upgrade-states.ts';
import { transition, type Upgrade } from '../state/upgrade-store.ts';
import { listWaves } from '../state/wave-store.ts';
import { countFailedMoves, countStragglers, moveStragglers } from '../waves/latecomers.ts';
import { heldBySchedule } from '../waves/schedule.ts';
import { askGate, awaitLostHosts } from './gate-steps.ts';
import { replaceLatecomers } from './in-place-steps.ts';
import { completeInstances } from './instance-steps.ts';
import { pauseStep, pauseUpgrade } from './pausing.ts';
import { followSchedule } from './schedule-steps.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction, waitingFor } from './step-context.ts';

export async function finishMoving(
  context: StepContext,
  upgrade: Upgrade,
  waves: number,
  schedule: Schedule,
): Promise<StepOutcome> {
  return await stepTransaction(context, 'all-moved', upgrade, async (tx, current) => {
    const following = await follow(context, tx, current, schedule);
    if (following !== undefined) return following;
    await transition(tx, current, 'all-moved', { message: passedText(waves) });
    return advanced;
  });
}

export function passedText(waves: number): string {
  return waves === 1 ? 'the only wave has passed' : `all ${waves} waves have passed`;
}

export async function stepAllMoved(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  return await stepTransaction(context, 'soak', upgrade, async (tx, current) => {
    await transition(tx, current, 'soaking', { message: 'the new release serves every account and is being observed' });
    return advanced;
  });
}

/** Observes until an operator finalizes or reverses; accounts that are created at an old instance follow the others. */
export async function stepSoaking(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  const { schedule, outcome } = await followSchedule(context, upgrade);
  if (outcome !== undefined) return outcome;
  if ((await listWaves(context.db, upgrade.id)).length > 0) {
    const away = await awaitLostHosts(context, upgrade, null);
    if (away !== undefined) return away;
    const answer = await askGate(context, upgrade, null, 'settled');
    if (answer.answer === 'fail') {
      return await pauseStep(context, upgrade, `after the waves: ${answer.reasons.join('; ')}`, { gate: answer });
    }
  }
  if (upgrade.plan.inPlace) return (await replaceLatecomers(context, upgrade)) ?? waitingFor(finalDecision);
  const missing = await completeInstances(context, upgrade);
  if (missing?.kind === 'advanced') return missing;
  const following = await stepTransaction(context, 'follow', upgrade, (tx, current) =>
    follow(context, tx, current, schedule),
  );
  // Observing goes on: an instance that cannot be added blocks only finalizing.
  if (missing?.kind === 'stuck') return waitingFor(missing.reason);
  return following ?? waitingFor(finalDecision);
}

/** Moves accounts that are not at their destination although no wave is open; undefined if there are none. */
async function follow(
  context: StepContext,
  tx: Transaction,
  upgrade: Upgrade,
  schedule: Schedule,
): Promise<StepOutcome | undefined> {
  const stragglers = await countStragglers(tx, upgrade);
  if (stragglers === 0) return undefined;
  const held = heldBySchedule(schedule);
  if (held !== undefined) return waitingFor(`${held}; ${counted(stragglers, 'account')} that came meanwhile`);
  const failed = await countFailedMoves(tx, upgrade.id);
  if (failed > 0) {
    await pauseUpgrade(tx, upgrade, `${counted(failed, 'account')} that came meanwhile could not be moved`, {
      failedMoves: failed,
    });
    return advanced;
  }
  await moveStragglers(tx, upgrade, context.name, 'own-wave');
  const next = (await listWaves(tx, upgrade.id)).find(({ state }) => state === 'waiting');
  if (next === undefined) return waitingFor(`${counted(stragglers, 'account')} that came meanwhile`);
  if (upgrade.state === 'soaking') {
    await transition(tx, upgrade, 'moving', {
      message: `accounts of ${next.name} were added meanwhile: they get their own wave`,
    });
  }
  return advanced;
}
