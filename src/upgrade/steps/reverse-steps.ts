/**
 * reversing → reversed: the old routers return; the accounts go back to instances of the old release, under the budget;
 * the new instances are removed; the release fence closes on the new administration services; the old ones get the
 * database back. Additive columns stay, and nothing that was written in between is lost.
 *
 * Each step determines from the database what is left to do, so that reversing from any state, or after an
 * interruption, is the same code.
 */

import { counted } from '../../base/counted.ts';
import type { Transaction } from '../../database/connection.ts';
import { readDomain } from '../../domain/domain.ts';
import { setDomainRelease } from '../../domain/domain-changes.ts';
import { retireInstance } from '../../instances/instances.ts';
import { countReversalsDelivering, stopMovesTo } from '../../moves/move-reports.ts';
import { listComponents } from '../../registry/components.ts';
import { changeDesiredProcesses, listDesiredProcesses, setDesiredProcess } from '../../registry/desired-processes.ts';
import { notReturnedText } from '../components/absent-process-text.ts';
import { notYetRunning, stillAlive } from '../components/component-readiness.ts';
import { revokeGrantedRights } from '../fence/patch-rights.ts';
import { closeUpgrade } from '../state/upgrade-close.ts';
import { administrationsBefore, hasReached } from '../state/upgrade-steps.ts';
import { reachStep, recordUpgradeEvent, transition, type Upgrade } from '../state/upgrade-store.ts';
import { queueMovesHome } from './homeward-moves.ts';
import { isOverdue, listNotReturned, restoreInstances } from './in-place-steps.ts';
import { removeInstanceParts } from './new-instances.ts';
import { pauseStep } from './pausing.ts';
import { fenceOptions } from './prepare-steps.ts';
import { giveBackReused } from './reuse-steps.ts';
import { restoreRouters } from './router-steps.ts';
import {
  advanced,
  fencedStep,
  type StepContext,
  type StepOutcome,
  stepTransaction,
  waitingFor,
} from './step-context.ts';

export async function stepReversing(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  const { progress } = upgrade;
  const lacking = await context.effects.lacking(upgrade.fromRelease);
  if (lacking.length > 0) return await pauseStep(context, upgrade, lackingText(upgrade, lacking));
  // Hosts that joined during the upgrade have never had it.
  await context.effects.distribute(upgrade.fromRelease);
  // They may be the cause, and they serve all devices.
  const router = await restoreRouters(context, upgrade);
  if (router !== undefined) return router;
  const instance = upgrade.plan.inPlace ? await restoreInstances(context, upgrade) : undefined;
  if (instance !== undefined) return instance;
  const reused = await giveBackReused(context, upgrade, (name) => sendHomeFrom(context, upgrade, name));
  if (reused !== undefined) return reused;
  if (progress.newInstances.length > 0 && !hasReached(progress.step, 'instances-removed')) {
    return progress.step.at === 'instances-retired'
      ? await removeNewInstances(context, upgrade)
      : await moveBack(context, upgrade);
  }
  const domain = await readDomain(context.db);
  if (domain.release !== upgrade.fromRelease) return await fenceNewAdministration(context, upgrade);
  return await returnAdministration(context, upgrade);
}

/** Nothing could run it again: that is said before anything is taken from the new release. */
function lackingText({ fromRelease, toRelease }: Upgrade, hosts: readonly string[]): string {
  return (
    `release ${fromRelease} is not installed on ${hosts.join(', ')} any more, so nothing there can go back to it; ` +
    `${toRelease} goes on serving. Install it there (\`bramble release install <archive>\`), then resume`
  );
}

/** Queues moves home from one instance, and stops those that still go onward; undefined once all are back. */
async function sendHomeFrom(context: StepContext, upgrade: Upgrade, name: string): Promise<StepOutcome | undefined> {
  return await stepTransaction(context, 'send-home', upgrade, async (tx, current) => {
    const { newInstances } = current.progress;
    await stopMovesTo(
      tx,
      newInstances.map((made) => made.instanceId),
    );
    const own = newInstances.filter((made) => made.name === name);
    const { queued, waiting } = await queueMovesHome(context, tx, current, own);
    if (queued > 0) {
      await recordUpgradeEvent(
        tx,
        current,
        `${counted(queued, 'account is', 'accounts are')} to move back from ${name}`,
      );
    }
    const left = await countOpenReversals(
      tx,
      current,
      own.map((made) => made.instanceId),
    );
    return left > 0 ? waitingFor(`${counted(left, 'account')} moving back from ${name}${waiting}`) : undefined;
  });
}

/** Queues moves home until no account is at a new instance, then retires these so that none can return. */
async function moveBack(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  return await stepTransaction(context, 'move-back', upgrade, async (tx, current) => {
    const instanceIds = current.progress.newInstances.map((made) => made.instanceId);
    await stopMovesTo(tx, instanceIds);
    const { queued, waiting } = await queueMovesHome(context, tx, current, current.progress.newInstances);
    if (queued > 0)
      await recordUpgradeEvent(tx, current, `${counted(queued, 'account is', 'accounts are')} to move back`);
    const left = await countOpenReversals(tx, current, instanceIds);
    if (left > 0) return waitingFor(`${counted(left, 'account')} moving back${waiting}`);
    for (const made of current.progress.newInstances) {
      const outcome = await retireInstance(tx, made.name);
      if (outcome.kind === 'has-accounts') return waitingFor(`accounts that were added to ${made.name}`);
    }
    const processes = current.progress.newInstances.flatMap((made) => made.processes);
    await changeDesiredProcesses(tx, processes, { state: 'stopped' });
    await reachStep(tx, current, { at: 'instances-retired' });
    await recordUpgradeEvent(tx, current, 'all accounts are back; stopping the new instances', { processes });
    return advanced;
  });
}

/**
 * Accounts at a new instance, and those back whose devices have not answered; devices out of reach are not waited for.
 */
async function countOpenReversals(tx: Transaction, upgrade: Upgrade, instanceIds: readonly string[]): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::int as count from account where instance_id = any(${instanceIds as string[]}::uuid[])`;
  return (row?.count ?? 0) + (await countReversalsDelivering(tx, upgrade.id));
}

async function removeNewInstances(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  const processes = upgrade.progress.newInstances.flatMap((made) => made.processes);
  const alive = stillAlive(await listComponents(context.db), processes);
  if (alive.length > 0) return waitingFor(`processes to end: ${alive.join(', ')}`);
  return await stepTransaction(context, 'remove-instances', upgrade, async (tx, current) => {
    for (const made of current.progress.newInstances) await removeInstanceParts(tx, made);
    await reachStep(tx, current, { at: 'instances-removed' });
    await recordUpgradeEvent(tx, current, 'the new instances are removed and their credentials revoked');
    return advanced;
  });
}

async function fenceNewAdministration(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  if (!hasReached(upgrade.progress.step, 'new-administrations-stopped')) {
    return await stepTransaction(context, 'stop-new-administrations', upgrade, async (tx, current) => {
      const names = (await listDesiredProcesses(tx))
        .filter((process) => process.kind === 'administration')
        .map((process) => process.name);
      await changeDesiredProcesses(tx, names, { state: 'stopped' });
      await reachStep(tx, current, { at: 'new-administrations-stopped' });
      await recordUpgradeEvent(tx, current, `administration services of ${current.toRelease} are stopping`);
      return advanced;
    });
  }
  await fencedStep(context, 'fence-back', upgrade, fenceOptions(context, upgrade), async (tx, current, fence) => {
    await setDomainRelease(tx, current.fromRelease);
    await recordUpgradeEvent(tx, current, `the database belongs to release ${current.fromRelease} again`, {
      met: fence.met,
      ended: fence.ended,
    });
  });
  return advanced;
}

async function returnAdministration(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  const before = administrationsBefore(upgrade.progress.step);
  if (upgrade.progress.step.at !== 'old-administrations-started') {
    return await stepTransaction(context, 'start-old-administrations', upgrade, async (tx, current) => {
      const added = (await listDesiredProcesses(tx)).filter(
        (process) => process.kind === 'administration' && !before.some((known) => known.name === process.name),
      );
      for (const process of before) await setDesiredProcess(tx, process);
      const names = added.map((process) => process.name);
      await changeDesiredProcesses(tx, names, { release: current.fromRelease, state: 'running' });
      await reachStep(tx, current, { at: 'old-administrations-started' });
      await recordUpgradeEvent(tx, current, `administration services of ${current.fromRelease} are starting`);
      return advanced;
    });
  }
  const wanted = before.filter((process) => process.state === 'running').map((process) => process.name);
  const missing = notYetRunning(await listComponents(context.db), wanted, upgrade.fromRelease);
  if (missing.length > 0 && !(await canGoWithout(context, upgrade, missing, wanted)))
    return waitingFor(`administration services of ${upgrade.fromRelease}: ${missing.join(', ')}`);
  return await stepTransaction(context, 'reversed', upgrade, async (tx, current) => {
    const left = [...(await listNotReturned(tx, current)), ...missing];
    // What still runs the patch keeps its rights; the next upgrade revokes them at its end.
    if (left.length === 0) await revokeGrantedRights(tx, current);
    const outcome = await transition(tx, current, 'reversed', {
      message:
        `the domain runs release ${current.fromRelease} again${current.plan.patch ? '' : '; added columns stay'}` +
        (left.length === 0
          ? ''
          : `; but ${notReturnedText(left, { from: current.fromRelease, to: current.toRelease })}`),
    });
    if (outcome.kind === 'changed') await closeUpgrade(tx, outcome.upgrade);
    return advanced;
  });
}

/** One administration service is enough to go on with; those of a host that was lost are named, and start when it is back. */
async function canGoWithout(
  context: StepContext,
  upgrade: Upgrade,
  missing: readonly string[],
  wanted: readonly string[],
): Promise<boolean> {
  if (missing.length === wanted.length) return false;
  for (const name of missing) if (!(await isOverdue(context, upgrade, name))) return false;
  return true;
}
