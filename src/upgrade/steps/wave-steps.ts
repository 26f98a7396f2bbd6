/**
 * moving → all-moved → soaking: wave after wave, each through its gate. A gate that does not pass pauses the upgrade;
 * so does a wave whose moves fail or do not settle in time. Nothing here proceeds to finalizing: that is an operator's
 * decision.
 */
import { counted } from '../../base/counted.ts';
import type { Transaction } from '../../database/connection.ts';
import { type AbsentProcess, absentText } from '../components/absent-processes.ts';
import { type GateAnswer, judgeGate } from '../gates/gate.ts';
import { readGateFigures } from '../gates/gate-samples.ts';
import { chosenGate } from '../state/plan-options.ts';
import type { Schedule } from '../state/schedule-windows.ts';
import { finalDecision } from '../state/upgrade-states.ts';
import { noteAbsence, recordUpgradeEvent, transition, type Upgrade } from '../state/upgrade-store.ts';
import {
  acceptedBy,
  listWaves,
  passAcceptedWave,
  readWaveMoves,
  setWaveGate,
  setWaveState,
  type Wave,
  type WaveMoves,
  type WaveVerdict,
} from '../state/wave-store.ts';
import { listAbsentDestinations, listAbsentFromWave } from '../waves/absent-destinations.ts';
import { recordGateAnswer } from '../waves/gate-record.ts';
import { countFailedMoves, countStragglers, joinLatecomers, moveStragglers, queueMoves } from '../waves/latecomers.ts';
import { awaitOutOfReach, leaveThem, outOfReachText } from '../waves/out-of-reach-rule.ts';
import { countReplacedAccounts } from '../waves/replaced-accounts.ts';
import { heldBySchedule, runningSeconds } from '../waves/schedule.ts';
import { replaceLatecomers, replaceWave, watchReplaced } from './in-place-steps.ts';
import { completeInstances } from './instance-steps.ts';
import { pauseStep, pauseUpgrade } from './pausing.ts';
import { prepareDestinations } from './reuse-steps.ts';
import { followSchedule } from './schedule-steps.ts';
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

/** By name and host; the clocks of the wave begin anew once all are back. */
async function awaitAbsent(
  { db }: StepContext,
  upgrade: Upgrade,
  wave: Wave,
  absent: readonly AbsentProcess[],
): Promise<StepOutcome> {
  await noteAbsence(db, upgrade);
  return waitingFor(`${absentText(absent)}; wave ${wave.number} (${wave.name}) goes on then`);
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

async function watchGate(context: StepContext, upgrade: Upgrade, wave: Wave): Promise<StepOutcome> {
  const { soakSeconds, gate, waveDeadlineSeconds } = upgrade.plan.options;
  const by = acceptedBy(wave);
  if (by !== undefined) return await passAccepted(context, upgrade, wave, by);
  const answer = await judgeSettled(context, upgrade, wave);
  if (answer.answer === 'fail') return await closeGate(context, upgrade, wave, answer);
  await recordGateAnswer(context.db, upgrade, wave, answer);
  const lost = await listAbsentFromWave(context.db, upgrade, wave.number);
  if (lost.length > 0) return await awaitAbsent(context, upgrade, wave, lost);
  if (wave.soakingSeconds < soakSeconds)
    return waitingFor(`wave ${wave.number} is being observed for ${soakSeconds} s`);
  if (answer.answer === 'pass') return await passWave(context, upgrade, wave, answer);
  const patienceSeconds = chosenGate(gate).patienceSeconds ?? waveDeadlineSeconds;
  if (answer.cause === 'sample' && wave.soakingSeconds < soakSeconds + patienceSeconds) {
    return waitingFor(`the gate of wave ${wave.number}, which is undecided`);
  }
  return await closeGate(context, upgrade, wave, answer);
}

/**
 * Instances without accounts that are replaced in place have no requests to judge or to wait for: only their processes
 * count.
 */
async function judgeSettled(context: StepContext, upgrade: Upgrade, wave: Wave): Promise<GateAnswer> {
  const answer = await askGate(context, upgrade, wave, 'settled');
  if (!upgrade.plan.inPlace || answer.answer !== 'undecided' || answer.cause !== 'sample') return answer;
  const { accounts } = await countReplacedAccounts(context.db, upgrade, wave.number);
  if (accounts > 0) return answer;
  return { answer: 'pass', reasons: ['there are no accounts, so there are no requests'], figures: answer.figures };
}

/** A cold process is slow for its first minute; of a soak of less than ten minutes, only a tenth is left out. */
const warmUpSeconds = (soakSeconds: number): number => Math.min(60, soakSeconds / 10);

async function askGate(
  context: StepContext,
  upgrade: Upgrade,
  wave: Wave | null,
  since: 'committed' | 'settled',
): Promise<GateAnswer> {
  const { gate, soakSeconds } = upgrade.plan.options;
  const scope = {
    upgradeId: upgrade.id,
    replacements: upgrade.plan.inPlace ? upgrade.progress.replacements : null,
    wave: wave?.number ?? null,
    since,
    baselineHours: gate.baselineHours,
    warmUpSeconds: warmUpSeconds(soakSeconds),
  };
  const figures = await readGateFigures(context.db, scope, context.gateMemory);
  return judgeGate(figures, gate);
}

async function passWave(context: StepContext, upgrade: Upgrade, wave: Wave, answer: WaveVerdict): Promise<StepOutcome> {
  return await stepTransaction(context, 'pass-wave', upgrade, async (tx, current) => {
    await setWaveGate(tx, current.id, wave.number, answer);
    await setWaveState(tx, current.id, wave.number, 'passed');
    await recordUpgradeEvent(tx, current, `wave ${wave.number} (${wave.name}) passed its gate`, { gate: answer });
    return advanced;
  });
}

async function passAccepted(context: StepContext, upgrade: Upgrade, wave: Wave, by: string): Promise<StepOutcome> {
  return await stepTransaction(context, 'pass-accepted-wave', upgrade, async (tx, current) => {
    await passAcceptedWave(tx, current.id, wave.number);
    await recordUpgradeEvent(
      tx,
      current,
      `wave ${wave.number} (${wave.name}) has moved, and ${by} takes responsibility for it`,
    );
    return advanced;
  });
}

async function closeGate(context: StepContext, upgrade: Upgrade, wave: Wave, answer: GateAnswer): Promise<StepOutcome> {
  return await stepTransaction(context, 'close-gate', upgrade, async (tx, current) => {
    await setWaveGate(tx, current.id, wave.number, answer);
    if (answer.answer === 'fail') await setWaveState(tx, current.id, wave.number, 'failed');
    const reason = `the gate of wave ${wave.number} (${wave.name}) says ${answer.answer}: ${answer.reasons.join('; ')}`;
    await pauseUpgrade(tx, current, reason, { gate: answer });
    return advanced;
  });
}

async function finishMoving(
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

function passedText(waves: number): string {
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
