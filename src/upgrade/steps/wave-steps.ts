/**
 * moving: wave after wave, each through its gate (gate-steps.ts). A wave whose moves fail or do not settle in time pauses the upgrade.
 */
import { counted } from '../../base/counted.ts';
import type { Schedule } from '../state/schedule-windows.ts';
import { recordUpgradeEvent, transition, type Upgrade } from '../state/upgrade-store.ts';
import { readWaveMoves, type WaveMoves } from '../state/wave-accounts.ts';
import { acceptedBy, listWaves, setWaveState, type Wave } from '../state/wave-store.ts';
import { listAbsentDestinations, listAbsentFromWave } from '../waves/absent-destinations.ts';
import { joinLatecomers, queueMoves } from '../waves/latecomers.ts';
import { awaitOutOfReach, leaveThem, outOfReachText } from '../waves/out-of-reach-rule.ts';
import { heldBySchedule, runningSeconds } from '../waves/schedule.ts';
import { askGate, awaitAbsent, awaitLostHosts, closeGate, passWave, watchGate } from './gate-steps.ts';
import { replaceLatecomers, replaceWave, watchReplaced } from './in-place-steps.ts';
import { completeInstances } from './instance-steps.ts';
import { pauseStep } from './pausing.ts';
import { prepareDestinations } from './reuse-steps.ts';
import { followSchedule } from './schedule-steps.ts';
import { finishMoving, passedText } from './soaking-steps.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction, waitingFor } from './step-context.ts';

export async function stepMoving(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  const { schedule, outcome } = await followSchedule(context, upgrade);
  if (outcome !== undefined) return outcome;
  const waves = await listWaves(context.db, upgrade.id);
  const wave = waves.find((candidate) => candidate.state !== 'passed');
  if (upgrade.plan.inPlace) return await stepReplacing(context, upgrade, wave, waves.length, schedule);
  // The gate comes first: moved accounts are observed, whatever blocks the others.
  const watched =
    wave === undefined || wave.state === 'waiting' ? undefined : await watchWave(context, upgrade, wave, schedule);
  if (watched?.kind === 'advanced') return watched;
  const held = heldBySchedule(schedule);
  if (held !== undefined && wave !== undefined) return watched ?? waitingFor(held);
  const missing = await completeInstances(context, upgrade);
  if (missing?.kind === 'advanced') return missing;
  if (watched !== undefined) return watched;
  if (missing?.kind === 'stuck') return await pauseStep(context, upgrade, missing.reason);
  return wave === undefined
    ? await finishMoving(context, upgrade, waves.length, schedule)
    : ((await prepareDestinations(context, upgrade, wave)) ?? (await startWave(context, upgrade, wave)));
}

/** In place a wave consists of instances: nothing is moved, and their accounts are judged like moved ones. */
async function stepReplacing(
  context: StepContext,
  upgrade: Upgrade,
  wave: Wave | undefined,
  waves: number,
  schedule: Schedule,
): Promise<StepOutcome> {
  if (wave === undefined) {
    const latecomers = await replaceLatecomers(context, upgrade);
    if (latecomers !== undefined) return latecomers;
    return await stepTransaction(context, 'all-moved', upgrade, async (tx, current) => {
      await transition(tx, current, 'all-moved', { message: passedText(waves) });
      return advanced;
    });
  }
  if (wave.state === 'waiting') {
    const held = heldBySchedule(schedule);
    if (held !== undefined) return waitingFor(held);
    return await stepTransaction(context, 'start-wave', upgrade, async (tx, current) => {
      await setWaveState(tx, current.id, wave.number, 'running');
      await recordUpgradeEvent(tx, current, `wave ${wave.number} started: ${wave.name} to be replaced in place`);
      return advanced;
    });
  }
  if (wave.state === 'soaking') {
    return (await watchReplaced(context, upgrade, wave)) ?? (await watchGate(context, upgrade, wave));
  }
  const away = await awaitLostHosts(context, upgrade, wave);
  if (away !== undefined) return away;
  if (acceptedBy(wave) === undefined) {
    const early = await askGate(context, upgrade, wave, 'committed');
    if (early.answer === 'fail') return await closeGate(context, upgrade, wave, early);
  }
  return await replaceWave(context, upgrade, wave, schedule);
}

async function watchWave(context: StepContext, upgrade: Upgrade, wave: Wave, schedule: Schedule): Promise<StepOutcome> {
  const moves = await readWaveMoves(context.db, upgrade.id, wave.number);
  return wave.state === 'soaking'
    ? await watchSoak(context, upgrade, wave, moves, schedule)
    : await watchMoves(context, upgrade, wave, moves, schedule);
}

async function startWave(context: StepContext, upgrade: Upgrade, wave: Wave): Promise<StepOutcome> {
  return await stepTransaction(context, 'start-wave', upgrade, async (tx, current) => {
    await joinLatecomers(tx, current, 'own-wave');
    const queued = await queueMoves(tx, current, wave.number, context.name);
    await setWaveState(tx, current.id, wave.number, 'running');
    await recordUpgradeEvent(tx, current, `wave ${wave.number} (${wave.name}) begins: ${counted(queued, 'account')}`);
    return advanced;
  });
}

async function watchMoves(
  context: StepContext,
  upgrade: Upgrade,
  wave: Wave,
  moves: WaveMoves,
  schedule: Schedule,
): Promise<StepOutcome> {
  if (moves.failed > 0) {
    return await pauseStep(
      context,
      upgrade,
      `${counted(moves.failed, 'account')} of wave ${wave.number} could not be moved`,
      { moves, failedMoves: moves.failed },
    );
  }
  const away = await awaitLostHosts(context, upgrade, wave);
  if (away !== undefined) return away;
  if (acceptedBy(wave) === undefined) {
    const early = await askGate(context, upgrade, wave, 'committed');
    if (early.answer === 'fail') return await closeGate(context, upgrade, wave, early);
  }
  const held = heldBySchedule(schedule);
  if (held !== undefined && moves.waiting + moves.underWay > 0) {
    return waitingFor(`${held}; wave ${wave.number} (${wave.name}) goes on then`);
  }
  const destinations = upgrade.progress.newInstances.map(({ name }) => name);
  const absent = moves.underWay > 0 ? await listAbsentDestinations(context.db, upgrade.id, destinations) : [];
  if (absent.length > 0) return await awaitAbsent(context, upgrade, wave, absent);
  if (moves.waiting > 0) {
    return await stepTransaction(context, 'move-latecomers', upgrade, async (tx, current) => {
      await queueMoves(tx, current, wave.number, context.name);
      return advanced;
    });
  }
  const lost = await listAbsentFromWave(context.db, upgrade, wave.number);
  if (lost.length > 0) return await awaitAbsent(context, upgrade, wave, lost);
  const open = moves.underWay + moves.delivering;
  if (open === 0) {
    const held = await heldByOutOfReach(context, upgrade, wave, moves);
    if (held !== undefined) return held;
    return await stepTransaction(context, 'soak-wave', upgrade, async (tx, current) => {
      await setWaveState(tx, current.id, wave.number, 'soaking');
      await recordUpgradeEvent(tx, current, `wave ${wave.number} (${wave.name}) has moved and is being observed`, {
        moves,
      });
      return advanced;
    });
  }
  const { waveDeadlineSeconds } = upgrade.plan.options;
  if (runningSeconds(upgrade.plan.options, wave) > waveDeadlineSeconds) {
    const reason = `wave ${wave.number} has not settled in ${waveDeadlineSeconds} s: ${counted(open, 'account is', 'accounts are')} open`;
    return await pauseStep(context, upgrade, reason, { moves });
  }
  return waitingFor(
    `wave ${wave.number}: ${moves.settled} of ${counted(moves.accounts, 'account is', 'accounts are')} settled`,
  );
}

/** Everybody else has settled; undefined if the wave goes on without those whose devices do not come. */
async function heldByOutOfReach(
  context: StepContext,
  upgrade: Upgrade,
  wave: Wave,
  moves: WaveMoves,
): Promise<StepOutcome | undefined> {
  const verdict = awaitOutOfReach(upgrade.plan.options, moves.outOfReach, runningSeconds(upgrade.plan.options, wave));
  if (verdict === 'go-on') return undefined;
  const text = outOfReachText(moves.outOfReach, wave);
  if (verdict === 'wait') return waitingFor(text);
  return await pauseStep(context, upgrade, `${text}. ${leaveThem}; or resume to wait for them again`, { moves });
}

async function watchSoak(
  context: StepContext,
  upgrade: Upgrade,
  wave: Wave,
  moves: WaveMoves,
  schedule: Schedule,
): Promise<StepOutcome> {
  if (moves.accounts === 0) {
    // There is nothing to observe: its accounts were deleted or assigned to another wave.
    return await passWave(context, upgrade, wave, { answer: 'pass', reasons: ['the wave has no accounts'] });
  }
  const held = heldBySchedule(schedule);
  if (moves.waiting + moves.underWay > 0) {
    if (held !== undefined) return waitingFor(held);
    return await stepTransaction(context, 'reopen-wave', upgrade, async (tx, current) => {
      await setWaveState(tx, current.id, wave.number, 'running');
      return advanced;
    });
  }
  return await watchGate(context, upgrade, wave);
}
