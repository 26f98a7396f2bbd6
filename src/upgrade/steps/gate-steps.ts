/**
 * A wave that has moved is observed and judged. A gate that does not pass pauses the upgrade; one that has too little to judge by is
 * waited for, as long as its patience lasts and everybody is there.
 */
import type { Queryable } from '../../database/connection.ts';
import { listQuietHosts } from '../../registry/supervisors.ts';
import { type AbsentProcess, absentText } from '../components/absent-processes.ts';
import { type GateAnswer, judgeGate } from '../gates/gate.ts';
import { readGateFigures } from '../gates/gate-samples.ts';
import { chosenGate } from '../state/plan-options.ts';
import type { Absence } from '../state/upgrade-plan.ts';
import { noteAbsence, recordUpgradeEvent, type Upgrade } from '../state/upgrade-store.ts';
import {
  acceptedBy,
  passAcceptedWave,
  setWaveGate,
  setWaveState,
  type Wave,
  type WaveVerdict,
} from '../state/wave-store.ts';
import { listAbsentFromWave } from '../waves/absent-destinations.ts';
import { recordGateAnswer } from '../waves/gate-record.ts';
import { countReplacedAccounts } from '../waves/replaced-accounts.ts';
import { pauseUpgrade } from './pausing.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction, waitingFor } from './step-context.ts';

/** By name and host; the clocks of the wave begin anew once all are back. */
export async function awaitAbsent(
  { db }: StepContext,
  upgrade: Upgrade,
  wave: Wave | null,
  absent: readonly AbsentProcess[],
): Promise<StepOutcome> {
  await noteAbsence(db, upgrade, await withTheirHosts(db, absent));
  const what = wave === null ? 'observing' : `wave ${wave.number} (${wave.name})`;
  return waitingFor(`${absentText(absent)}; ${what} goes on then`);
}

/** Before a gate is asked: a host that was lost with instances of the wave says nothing about their release. */
export async function awaitLostHosts(
  context: StepContext,
  upgrade: Upgrade,
  wave: Wave | null,
): Promise<StepOutcome | undefined> {
  const absent = await listAbsentFromWave(context.db, upgrade, wave?.number ?? null);
  if (absent.length === 0 || (await withTheirHosts(context.db, absent)).length === 0) return undefined;
  return await awaitAbsent(context, upgrade, wave, absent);
}

/** Of these processes those whose hosts are not heard of either. */
async function withTheirHosts(q: Queryable, absent: readonly AbsentProcess[]): Promise<Absence[]> {
  const quiet = await listQuietHosts(
    q,
    absent.map(({ host }) => host),
  );
  return absent.flatMap(({ name, host }) =>
    quiet
      .filter((one) => one.host === host)
      .map(({ seenAt, now }) => ({ name, since: seenAt.toISOString(), until: now.toISOString() })),
  );
}

export async function watchGate(context: StepContext, upgrade: Upgrade, wave: Wave): Promise<StepOutcome> {
  const { soakSeconds, gate, waveDeadlineSeconds } = upgrade.plan.options;
  const by = acceptedBy(wave);
  if (by !== undefined) return await passAccepted(context, upgrade, wave, by);
  const away = await awaitLostHosts(context, upgrade, wave);
  if (away !== undefined) return away;
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

export async function askGate(
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
    absences: upgrade.progress.absences,
    since,
    baselineHours: gate.baselineHours,
    warmUpSeconds: warmUpSeconds(soakSeconds),
  };
  const figures = await readGateFigures(context.db, scope, context.gateMemory);
  return judgeGate(figures, gate);
}

export async function passWave(
  context: StepContext,
  upgrade: Upgrade,
  wave: Wave,
  answer: WaveVerdict,
): Promise<StepOutcome> {
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

export async function closeGate(
  context: StepContext,
  upgrade: Upgrade,
  wave: Wave,
  answer: GateAnswer,
): Promise<StepOutcome> {
  return await stepTransaction(context, 'close-gate', upgrade, async (tx, current) => {
    await setWaveGate(tx, current.id, wave.number, answer);
    if (answer.answer === 'fail') await setWaveState(tx, current.id, wave.number, 'failed');
    const reason = `the gate of wave ${wave.number} (${wave.name}) says ${answer.answer}: ${answer.reasons.join('; ')}`;
    await pauseUpgrade(tx, current, reason, { gate: answer });
    return advanced;
  });
}
