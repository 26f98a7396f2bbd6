/**
 * Operator actions on an upgrade: plan, start, pause, resume, reverse, finalize (where an account is to go:
 * `account-assignment.ts`). Each is one transaction that the caller opens: under the release lock in an administration
 * service, plain in the coordinator, which accepts them while no administration service is running.
 *
 * Invariant: an operator's action changes the row only along the state machine; the coordinator carries it out.
 */

import { type PlanOptions, planOptionsSchema } from '../../api/upgrade-options.ts';
import type { UpgradePlan } from '../../api/upgrade-plan.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Transaction } from '../../database/connection.ts';
import { resumeUpgradeBatches } from '../../moves/move-reports.ts';
import type { Platforms } from '../../platforms/port.ts';
import { setDesiredProcess } from '../../registry/desired-processes.ts';
import { listSupervisors } from '../../registry/supervisors.ts';
import { listInstancesBehind, occupiedText } from '../components/instances-behind.ts';
import { assertJoined } from '../components/usable-hosts.ts';
import { checkNames } from '../plan/check-names.ts';
import { planUpgrade } from '../plan/plan.ts';
import { readPlanFacts, type TargetRelease } from '../plan/plan-facts.ts';
import { wishesFor } from '../plan/planned-instances.ts';
import { closeUpgrade } from '../state/upgrade-close.ts';
import { isFinal, isPausable, isReversible, undoTransition, upgradeStates } from '../state/upgrade-states.ts';
import { administrationsBefore, hasReached } from '../state/upgrade-steps.ts';
import {
  alreadyPlanned,
  describePosition,
  insertUpgrade,
  lockOpenUpgrade,
  mergeProgress,
  minuteText,
  positionOf,
  reachStep,
  readLatestUpgrade,
  readOpenUpgrade,
  readPauseCause,
  recordUpgradeEvent,
  transition,
  type Upgrade,
  upgradeOpen,
} from '../state/upgrade-store.ts';
import { acceptWave, listWaves, reopenWaves } from '../state/wave-store.ts';
import { pauseUpgrade } from '../steps/pausing.ts';
import { heldBySchedule, readSchedule } from '../waves/schedule.ts';

/** Who acts: the name of an administrator's token. */
export interface Operator {
  by: string;
}

export interface PlanOrder extends Operator {
  target: TargetRelease;
  options?: Partial<PlanOptions>;
  /** The default host for new processes. */
  host: string;
  /** Features that the release at work knows. */
  features: readonly string[];
  platforms: Platforms;
  /** Whether it may take the place of a plan that was not started. */
  replace?: boolean;
}

/**
 * Makes the plan without writing anything, whether or not another waits to be started.
 * @throws BrambleError as `writePlan`.
 */
export async function previewPlan(tx: Transaction, order: PlanOrder): Promise<UpgradePlan> {
  const open = await readOpenUpgrade(tx);
  if (open !== undefined) assertNotStarted(open);
  const { target, host, features, platforms } = order;
  const options = planOptionsSchema.parse(order.options ?? {});
  const wishes = Object.keys(options.instances).flatMap((old) => wishesFor(options, old));
  await assertJoined(
    tx,
    wishes.flatMap((wish) => wish.host || []),
    { coordinator: coordinatorName, otherwise: host },
  );
  return planUpgrade(await readPlanFacts(tx, target, { host, features, platforms }, options), options);
}

/**
 * The plan as it could be written now: obstacles are reported before anything is installed for it.
 * @throws BrambleError as `writePlan`.
 */
export async function tryPlan(tx: Transaction, order: PlanOrder): Promise<UpgradePlan> {
  assertNoneOpen(await readOpenUpgrade(tx), order);
  return await previewPlan(tx, order);
}

/**
 * Writes the plan. One that was not started is replaced if the request says so.
 * @throws BrambleError ERR_UPGRADE_OPEN, ERR_RELEASE_STEP, ERR_UPGRADE_CANARY, ERR_UPGRADE_INSTANCE.
 */
export async function writePlan(tx: Transaction, order: PlanOrder): Promise<Upgrade> {
  const open = await lockOpenUpgrade(tx);
  assertNoneOpen(open, order);
  const plan = await previewPlan(tx, order);
  if (open !== undefined) {
    await transition(tx, open, 'cancelled', { message: `replaced by another plan of ${order.by}` });
  }
  const [domain] = await tx<{ release: string }[]>`select release from domain`;
  return await insertUpgrade(tx, { fromRelease: domain?.release ?? '', toRelease: order.target.release, plan });
}

/** @throws BrambleError ERR_UPGRADE_OPEN */
function assertNotStarted({ state, progress }: Upgrade): void {
  if (state !== 'planned' || hasReached(progress.step, 'started')) throw upgradeOpen();
}

/** @throws BrambleError ERR_UPGRADE_OPEN */
function assertNoneOpen(open: Upgrade | undefined, { replace = false }: PlanOrder): void {
  if (open === undefined) return;
  assertNotStarted(open);
  if (replace) return;
  throw alreadyPlanned(open);
}

export const coordinatorName = 'upgrade-coordinator';

/**
 * Starts the upgrade, with a coordinator of the target release. Repeated, it overrides further warnings of stopped
 * checks, or brings the coordinator back.
 * @throws BrambleError ERR_UPGRADE_NONE when there is no plan, ERR_INPUT for an override of a check that there is not.
 */
export async function startUpgrade(
  tx: Transaction,
  order: Operator & { host: string; overrides?: readonly string[] },
): Promise<Upgrade> {
  const upgrade = await lockedUpgrade(tx);
  const overrides = [...(order.overrides ?? [])];
  assertOverrides(upgrade, overrides);
  await setDesiredProcess(tx, {
    name: coordinatorName,
    kind: 'coordinator',
    host: order.host,
    release: upgrade.toRelease,
    state: 'running',
    settings: {},
  });
  if (upgrade.state !== 'planned') return upgrade;
  const [{ now: startedAt } = { now: new Date() }] = await tx<{ now: Date }[]>`select now()`;
  const start = { startedBy: order.by, startedAt: startedAt.toISOString(), overrides };
  await reachStep(tx, upgrade, { at: 'started' }, { ...start, waitingFor: null });
  const overriding = overrides.length === 0 ? '' : `, overriding ${overrides.join(', ')}`;
  await recordUpgradeEvent(tx, upgrade, `started by ${order.by}${overriding}`);
  return await lockedUpgrade(tx);
}

/** The target's checks may be others than this release's: those that it has carried out are known by their results. */
function assertOverrides({ progress }: Upgrade, overrides: readonly string[]): void {
  const known = [...new Set<string>([...checkNames, ...(progress.checks ?? []).map(({ name }) => name)])];
  const unknown = overrides.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  throw new BrambleError(
    'ERR_INPUT',
    `There is no check named ${unknown.slice(0, 10).join(', ')}. The checks are: ${known.join(', ')}.`,
    { details: { field: 'body.overrides', unknown, known } },
  );
}

/** @throws BrambleError ERR_UPGRADE_NONE, ERR_UPGRADE_STATE where it cannot be paused. */
export async function pauseByOperator(tx: Transaction, order: Operator & { reason?: string }): Promise<Upgrade> {
  const upgrade = await lockedUpgrade(tx);
  if (!isPausable(upgrade.state)) throw wrongState(upgrade, 'be paused');
  const reason = order.reason?.trim() ?? '';
  const said = reason === '' ? '' : `: ${reason}`;
  await pauseUpgrade(tx, upgrade, `by ${order.by}${said}`);
  return await lockedUpgrade(tx);
}

/**
 * Goes on where it was paused. An open wave is observed anew, and after the waves all of them are; with `acceptGate` the
 * operator answers for the open wave instead, which goes on until it has moved, and the log says so.
 * So it does where it is not paused, while the gate of an observed wave is undecided.
 * @throws BrambleError ERR_UPGRADE_STATE where it is not paused and no gate waits, or no gate has paused it.
 */
export async function resumeByOperator(tx: Transaction, order: Operator & { acceptGate?: boolean }): Promise<Upgrade> {
  const upgrade = await lockedUpgrade(tx);
  if (upgrade.pausedFrom === null) {
    if (order.acceptGate === true && (await acceptUndecided(tx, upgrade, order.by))) return await lockedUpgrade(tx);
    throw wrongState(upgrade, 'be resumed');
  }
  const answered = order.acceptGate === true ? await gateToAccept(tx, upgrade) : undefined;
  if (answered?.wave !== undefined) await acceptWave(tx, upgrade.id, answered.wave, order.by);
  await reopenWaves(tx, upgrade.id);
  // Outside of its windows the coordinator resumes them when one opens.
  const isHeld =
    upgradeStates.has('in-waves', upgrade.pausedFrom) &&
    heldBySchedule(await readSchedule(tx, upgrade.plan.options)) !== undefined;
  if (!isHeld) await resumeUpgradeBatches(tx, upgrade.id);
  const outcome = await transition(tx, upgrade, upgrade.pausedFrom, {
    message: answered ? `${order.by} takes responsibility for ${answered.what} and resumes` : `resumed by ${order.by}`,
  });
  return outcome.kind === 'changed' ? outcome.upgrade : upgrade;
}

/** Whether a wave is observed whose gate could not decide so far; the coordinator lets it pass at its next look. */
async function acceptUndecided(tx: Transaction, upgrade: Upgrade, by: string): Promise<boolean> {
  if (upgrade.state !== 'moving') return false;
  const wave = (await listWaves(tx, upgrade.id)).find(({ state }) => state !== 'passed');
  if (wave?.state !== 'soaking' || wave.gate?.answer !== 'undecided') return false;
  await acceptWave(tx, upgrade.id, wave.number, by);
  await recordUpgradeEvent(tx, upgrade, `${by} takes responsibility for wave ${wave.number}, whose gate is undecided`);
  return true;
}

/**
 * What the gate that paused this upgrade has judged. A gate that is still looking when something else pauses has no answer
 * that anybody could take over.
 * @throws BrambleError ERR_UPGRADE_STATE where no gate has paused it.
 */
async function gateToAccept(tx: Transaction, upgrade: Upgrade): Promise<{ what: string; wave?: number }> {
  const wave = (await listWaves(tx, upgrade.id)).find(({ state }) => state !== 'passed');
  if ((await readPauseCause(tx, upgrade)) === 'gate') {
    return wave !== undefined && upgrade.pausedFrom === 'moving'
      ? { what: `wave ${wave.number}`, wave: wave.number }
      : { what: 'the observation after the waves' };
  }
  const open = wave === undefined ? '' : `, wave ${wave.number} (${wave.name}) is ${wave.state}`;
  throw new BrambleError(
    'ERR_UPGRADE_STATE',
    `No gate has paused this upgrade, so there is none to accept: it is ${describePosition(upgrade)}${open}, and ` +
      `the reason for the pause is: ${upgrade.pauseReason ?? 'none was given'}. Resume without accepting a gate ` +
      '(`bramble upgrade resume`); if a gate then stops a wave, that wave can be accepted.',
    { details: { state: upgrade.state, pausedFrom: upgrade.pausedFrom, pauseReason: upgrade.pauseReason } },
  );
}

/** Before the fence: cancelled, with everything as it was. After it: the coordinator begins to reverse. */
export async function reverseByOperator(tx: Transaction, order: Operator): Promise<Upgrade> {
  const upgrade = await lockedUpgrade(tx);
  const undo = undoTransition(positionOf(upgrade));
  if (undo === undefined) throw begunAlready(upgrade, 'reversing') ?? wrongState(upgrade, 'be reversed');
  const outcome = await transition(tx, upgrade, undo, { message: `${undo} by ${order.by}` });
  if (outcome.kind === 'conflict') return upgrade;
  if (undo === 'cancelled') {
    for (const process of administrationsBefore(upgrade.progress.step)) await setDesiredProcess(tx, process);
    await closeUpgrade(tx, outcome.upgrade);
  }
  return outcome.upgrade;
}

/**
 * The point of no return, never passed automatically.
 * @throws BrambleError ERR_UPGRADE_STATE unless the upgrade is soaking and no account is at an earlier release.
 */
export async function finalizeByOperator(
  tx: Transaction,
  order: Operator & { leaveSupervisors?: readonly string[] },
): Promise<Upgrade> {
  const upgrade = await lockedUpgrade(tx);
  const supervisorsLeft = [...new Set([...upgrade.progress.supervisorsLeft, ...(order.leaveSupervisors ?? [])])];
  await assertHosts(tx, supervisorsLeft);
  if (upgrade.state === 'finalizing' && order.leaveSupervisors !== undefined) {
    await mergeProgress(tx, upgrade.id, { supervisorsLeft });
    const message = `supervisors left unchanged by ${order.by}: ${order.leaveSupervisors.join(', ')}`;
    await recordUpgradeEvent(tx, upgrade, message);
    return { ...upgrade, progress: { ...upgrade.progress, supervisorsLeft } };
  }
  if (upgrade.state !== 'soaking') {
    throw begunAlready(upgrade, 'finalizing') ?? wrongState(upgrade, 'be finalized; it must be soaking');
  }
  const left = (await listInstancesBehind(tx, upgrade.toRelease)).filter(({ accounts }) => accounts > 0);
  if (left.length > 0) {
    throw new BrambleError(
      'ERR_UPGRADE_STATE',
      `Accounts are still at instances of an earlier release: ${occupiedText(left)}. Wait until they have moved; ` +
        '`bramble upgrade status` shows what they are waiting for.',
      {
        details: {
          state: upgrade.state,
          accountsLeft: left.reduce((sum, { accounts }) => sum + accounts, 0),
          instances: left.map(({ name }) => name),
        },
      },
    );
  }
  await mergeProgress(tx, upgrade.id, { finalizedBy: order.by, supervisorsLeft });
  const outcome = await transition(tx, upgrade, 'finalizing', { message: `finalizing started by ${order.by}` });
  return outcome.kind === 'changed' ? outcome.upgrade : upgrade;
}

/** @throws BrambleError ERR_NOT_FOUND that names the hosts that there are */
async function assertHosts(tx: Transaction, hosts: readonly string[]): Promise<void> {
  if (hosts.length === 0) return;
  const known = (await listSupervisors(tx)).map(({ host }) => host);
  const unknown = hosts.find((host) => !known.includes(host));
  if (unknown === undefined) return;
  throw new BrambleError('ERR_NOT_FOUND', `There is no host "${unknown}": ${known.join(', ')}.`);
}

export async function lockedUpgrade(tx: Transaction): Promise<Upgrade> {
  const upgrade = await lockOpenUpgrade(tx);
  if (upgrade === undefined) {
    throw noneOpen(await readLatestUpgrade(tx));
  }
  return upgrade;
}

/** A repeated request learns that it took effect: the last upgrade's outcome, and when. */
function noneOpen(last: Upgrade | undefined): BrambleError {
  const next = 'Plan one with `bramble upgrade plan`.';
  if (last === undefined || !isFinal(last.state)) {
    return new BrambleError('ERR_UPGRADE_NONE', `No upgrade is open. ${next}`);
  }
  const { state, toRelease, finishedAt } = last;
  const what = state === 'done' ? 'done and final' : state;
  const since = finishedAt === null ? '' : `, since ${minuteText(finishedAt)}`;
  return new BrambleError(
    'ERR_UPGRADE_NONE',
    `No upgrade is open: the last one, to ${toRelease}, is ${what}${since}. ${next}`,
    {
      details: { state, toRelease, finishedAt: finishedAt?.toISOString() ?? null },
    },
  );
}

/** Two operators at once, or one whose first answer was lost: what the second asks for is under way. */
function begunAlready(upgrade: Upgrade, course: 'finalizing' | 'reversing'): BrambleError | undefined {
  if ((upgrade.pausedFrom ?? upgrade.state) !== course) return undefined;
  const { finalizedBy } = upgrade.progress;
  const who = course === 'finalizing' && finalizedBy !== undefined ? `, as ${finalizedBy} ordered` : '';
  const paused = upgrade.pausedFrom === null ? '' : '; it is paused: `bramble upgrade resume` lets it go on';
  const what = course === 'finalizing' ? 'finalized' : 'reversed';
  return new BrambleError(
    'ERR_UPGRADE_STATE',
    `The upgrade to ${upgrade.toRelease} is being ${what} already${who}${paused}. \`bramble upgrade status\` shows how far it is.`,
    { details: { state: upgrade.state, pausedFrom: upgrade.pausedFrom } },
  );
}

export function wrongState(upgrade: Upgrade, what: string): BrambleError {
  const message = `An upgrade that is ${describePosition(upgrade)} cannot ${what}. ${nextText(upgrade)}`;
  return new BrambleError('ERR_UPGRADE_STATE', message, {
    details: { state: upgrade.state, pausedFrom: upgrade.pausedFrom },
  });
}

/** What can be done with it instead. */
function nextText(upgrade: Upgrade): string {
  const { state, pausedFrom, progress } = upgrade;
  if (pausedFrom !== null) {
    const back = isReversible(pausedFrom) ? ', `bramble upgrade reverse` takes it back' : '';
    return `\`bramble upgrade resume\` resumes it${back}.`;
  }
  if (state === 'planned' && !hasReached(progress.step, 'started')) return '`bramble upgrade start` starts it.';
  if (state === 'soaking') return '`bramble upgrade finalize` or `bramble upgrade reverse` ends it.';
  return '`bramble upgrade status` shows what it waits for.';
}
