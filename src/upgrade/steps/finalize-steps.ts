/**
 * finalizing → done: what is left of the old release is replaced, one transaction checks every registered component and
 * raises the feature level, then the contracting migrations run. Protects rules 5 to 7 and invariant 8.
 */
import { compareReleases } from '../../base/release-number.ts';
import { advisoryLock } from '../../database/advisory-locks.ts';
import type { Transaction } from '../../database/connection.ts';
import { setFeatureLevel } from '../../domain/domain-changes.ts';
import { retireInstance } from '../../instances/instances.ts';
import { type Component, declareRange, listComponents } from '../../registry/components.ts';
import { changeDesiredProcesses, listDesiredProcesses } from '../../registry/desired-processes.ts';
import { listSupervisors } from '../../registry/supervisors.ts';
import { stillAlive } from '../components/component-readiness.ts';
import { lockOccupied } from '../components/instances-behind.ts';
import { nextToReplace } from '../components/next-to-replace.ts';
import { supervisorsText, supervisorsToWaitFor } from '../components/supervisors-behind.ts';
import { takeRightsBack } from '../fence/patch-rights.ts';
import { closeUpgrade } from '../state/upgrade-close.ts';
import { reachStep, recordUpgradeEvent, transition, type Upgrade } from '../state/upgrade-store.ts';
import { replaceRest } from './in-place-steps.ts';
import { handOverAccounts } from './instance-steps.ts';
import { lateAdministrations, leaveToSupervisors } from './late-administrations.ts';
import { describeInstance, removeInstanceParts } from './new-instances.ts';
import { fenceOptions } from './prepare-steps.ts';
import {
  advanced,
  fencedStep,
  type StepContext,
  type StepOutcome,
  stepTransaction,
  waitingFor,
} from './step-context.ts';

export async function stepFinalizing(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  if (upgrade.progress.step.at === 'feature-level-raised') return await contract(context, upgrade);
  if (upgrade.plan.inPlace) return (await replaceRest(context, upgrade)) ?? (await closePatch(context, upgrade));
  const occupied = await handOverAccounts(context, upgrade);
  if (occupied !== undefined) return occupied;
  const desired = await listDesiredProcesses(context.db);
  const components = await listComponents(context.db);
  if (upgrade.plan.options.oldInstances === 'retire') {
    const retired = await retireEmptied(context, upgrade, components);
    if (retired !== undefined) return retired;
  }
  const next = nextToReplace(desired, components, upgrade.toRelease);
  if (next.kind === 'replace') {
    return await stepTransaction(context, 'replace-processes', upgrade, async (tx, current) => {
      // An account that was created just now is handed over first.
      if ((await lockOccupied(tx, next.names)).length > 0) return advanced;
      await changeDesiredProcesses(tx, next.names, { release: current.toRelease });
      await recordUpgradeEvent(tx, current, `switching to ${current.toRelease}: ${next.names.join(', ')}`);
      return advanced;
    });
  }
  if (next.kind === 'wait') return waitingFor(`processes of ${upgrade.toRelease}: ${next.names.join(', ')}`);
  if (upgrade.plan.patch) return await closePatch(context, upgrade);
  // These wait for their host’s supervisor, which is waited for below; where an operator left it out, raising waits until they are forgotten.
  const late = await lateAdministrations(context.db, context.host, upgrade);
  const behind = componentsBehind(components, upgrade.toRelease).filter(({ name }) => !late.includes(name));
  if (behind.length > 0) return waitingFor(behindText(behind));
  // Only now can every process be adopted, so that its supervisor can be replaced without devices noticing.
  const supervisors = supervisorsToWaitFor(await listSupervisors(context.db), upgrade);
  if (supervisors.length > 0) return waitingFor(supervisorsText(supervisors, upgrade.toRelease));
  return await raiseFeatureLevel(context, upgrade);
}

/** A patch raises no feature level and contracts nothing: components of both releases may work side by side. */
async function closePatch(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  return await stepTransaction(context, 'done', upgrade, async (tx, current) => {
    await takeRightsBack(tx);
    return await close(tx, context, current, `the domain runs release ${current.toRelease}`);
  });
}

/** Registered components of an earlier release, including absent ones. */
function componentsBehind<Seen extends Pick<Component, 'name' | 'release' | 'alive'>>(
  components: readonly Seen[],
  release: string,
): Seen[] {
  return components.filter((component) => compareReleases(component.release, release) < 0);
}

function behindText(behind: readonly Pick<Component, 'name' | 'release' | 'alive'>[]): string {
  const names = behind.map(
    (component) => `${component.name} (${component.release}${component.alive ? '' : ', absent'})`,
  );
  return (
    `components of an earlier release: ${names.join(', ')}; start them from the new release, or remove dead ones with ` +
    `\`bramble component forget ${behind[0]?.name ?? ''}\``
  );
}

async function raiseFeatureLevel(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  const options = { ...fenceOptions(context, upgrade), lock: advisoryLock.featureLevel };
  return await fencedStep(context, 'raise', upgrade, options, async (tx, current, fence): Promise<StepOutcome> => {
    // Registering waits for this lock: no component is added between this check and raising the level.
    const behind = componentsBehind(await listComponents(tx), current.toRelease);
    if (behind.length > 0) return waitingFor(behindText(behind));
    await setFeatureLevel(tx, current.toRelease);
    await declareRange(tx, current.toRelease);
    await reachStep(tx, current, { at: 'feature-level-raised' });
    await recordUpgradeEvent(tx, current, `the feature level is ${current.toRelease}`, { ended: fence.ended });
    return advanced;
  });
}

async function contract(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  const schemaVersion = await context.effects.contract();
  return await stepTransaction(context, 'done', upgrade, async (tx, current) => {
    return await close(tx, context, current, `the domain runs release ${current.toRelease}, schema ${schemaVersion}`);
  });
}

async function close(tx: Transaction, { host }: StepContext, read: Upgrade, message: string): Promise<StepOutcome> {
  const outcome = await transition(tx, read, 'done', { message });
  if (outcome.kind === 'changed') {
    await leaveToSupervisors(tx, host, outcome.upgrade);
    await closeUpgrade(tx, outcome.upgrade);
  }
  return advanced;
}

/** One old instance at a time: it is retired, stopped and then removed; undefined if none is left. */
async function retireEmptied(
  context: StepContext,
  upgrade: Upgrade,
  components: readonly Component[],
): Promise<StepOutcome | undefined> {
  const kept = new Set(upgrade.progress.newInstances.map(({ name }) => name));
  for (const { replaces } of upgrade.plan.instances) {
    if (kept.has(replaces)) continue;
    const parts = await describeInstance(context.db, replaces);
    const wanted = (await listDesiredProcesses(context.db)).filter((process) =>
      parts?.processes.includes(process.name),
    );
    const known = components.filter((component) => parts?.processes.includes(component.name));
    if (parts === undefined || (wanted.length === 0 && known.length === 0)) continue;
    if (wanted.some((process) => process.state === 'running')) {
      return await stepTransaction(context, 'retire-instance', upgrade, async (tx, current) => {
        // An account that was created just now is handed over first.
        if ((await retireInstance(tx, replaces)).kind === 'has-accounts') return advanced;
        await changeDesiredProcesses(tx, parts.processes, { state: 'stopped' });
        await recordUpgradeEvent(tx, current, `instance ${replaces} is retired`);
        return advanced;
      });
    }
    const alive = stillAlive(components, parts.processes);
    if (alive.length > 0) return waitingFor(`processes to end: ${alive.join(', ')}`);
    return await stepTransaction(context, 'remove-retired', upgrade, async (tx) => {
      await removeInstanceParts(tx, parts);
      return advanced;
    });
  }
  return undefined;
}
