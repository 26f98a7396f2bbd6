/**
 * Emptied instances as destinations: before a wave begins that moves accounts to one, it is upgraded in place; while reversing it gets
 * its release back once those accounts have left, the last one first.
 *
 * Invariant: an instance changes its release only while it has no accounts, and none can come to it in that moment.
 */
import { listComponents } from '../../registry/components.ts';
import { changeDesiredProcesses, listDesiredProcesses } from '../../registry/desired-processes.ts';
import { missingOf, notYetRunning } from '../components/component-readiness.ts';
import { lockOccupied } from '../components/instances-behind.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import { mergeProgress, recordUpgradeEvent, type Upgrade } from '../state/upgrade-store.ts';
import { listDestinations } from '../state/wave-accounts.ts';
import { countFailedMoves, moveStragglers } from '../waves/latecomers.ts';
import { describeInstance, instanceId } from './new-instances.ts';
import { pauseStep, pauseUpgrade } from './pausing.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction, waitingFor } from './step-context.ts';

/** Undefined once every instance that the wave moves accounts to serves them: emptied ones, and those added on the way. */
export async function prepareDestinations(
  context: StepContext,
  read: Upgrade,
  wave: { number: number },
): Promise<StepOutcome | undefined> {
  const reused = read.plan.instances.filter((planned) => planned.origin === 'reused');
  const goals = await listDestinations(context.db, read.id, wave.number);
  const { newInstances } = read.progress;
  const next = reused.find(({ name }) => goals.includes(name) && !newInstances.some((made) => made.name === name));
  if (next !== undefined) return await upgradeEmptied(context, read, next, wave.number);
  const used = newInstances.filter(({ name }) => goals.includes(name));
  const missing = missingOf(used, await listComponents(context.db), read.toRelease);
  return missing === undefined ? undefined : waitingFor(missing);
}

async function upgradeEmptied(
  context: StepContext,
  read: Upgrade,
  { name, replaces }: { name: string; replaces: string },
  wave: number,
): Promise<StepOutcome> {
  if ((await countFailedMoves(context.db, read.id)) > 0) {
    return await pauseStep(context, read, `accounts could not be moved away from ${name}`, { failedMoves: true });
  }
  return await stepTransaction(context, 'reuse-instance', read, async (tx, upgrade) => {
    if ((await lockOccupied(tx, [name])).length > 0) {
      await moveStragglers(tx, upgrade, context.name, 'own-wave');
      return waitingFor(`the last accounts to leave ${name}, which then takes those of ${replaces}`);
    }
    const [parts, replacesId] = [await describeInstance(tx, name), await instanceId(tx, replaces)];
    if (parts === undefined || replacesId === undefined) {
      const gone = parts === undefined ? name : replaces;
      await pauseUpgrade(
        tx,
        upgrade,
        `${name} was to take over from ${replaces}, but there is no instance ${gone} any more`,
      );
      return advanced;
    }
    await changeDesiredProcesses(tx, parts.processes, { release: upgrade.toRelease });
    const { instanceId: id, processes, connectionServices, srpIdentifiers } = parts;
    const made = {
      ...{ name, instanceId: id, replaces, replacesId, processes: [...processes], origin: 'reused' as const, wave },
      ...{ connectionServices: [...connectionServices], srpIdentifiers: [...srpIdentifiers] },
    };
    await mergeProgress(tx, upgrade.id, { newInstances: [...upgrade.progress.newInstances, made] });
    await recordUpgradeEvent(
      tx,
      upgrade,
      `instance ${name} is empty: upgraded in place, it takes over from ${replaces}`,
      { instanceId: id, release: upgrade.toRelease },
    );
    return advanced;
  });
}

/**
 * Reversing: the emptied instances that became destinations, the last one first: once its accounts are home, its processes are to run
 * the old release again. Then those added by hand, whose accounts may come from any of them. `sendHome` queues the moves and says what is
 * waited for. Undefined once all run it.
 */
export async function giveBackReused(
  context: StepContext,
  read: Upgrade,
  sendHome: (instanceName: string) => Promise<StepOutcome | undefined>,
): Promise<StepOutcome | undefined> {
  const { newInstances } = read.progress;
  const last = newInstances.findLast(({ origin }) => origin === 'reused');
  if (last !== undefined) return (await sendHome(last.name)) ?? (await giveBack(context, read, last));
  const names = read.plan.instances.filter(({ origin }) => origin === 'reused').map(({ name }) => name);
  const homes = (await listDesiredProcesses(context.db))
    .filter(({ name, state, release }) => names.includes(name) && state === 'running' && release === read.fromRelease)
    .map(({ name }) => name);
  const missing = notYetRunning(await listComponents(context.db), homes, read.fromRelease);
  if (missing.length > 0) return waitingFor(`instances of ${read.fromRelease}: ${missing.join(', ')}`);
  const added = newInstances.find(({ origin }) => origin === 'by-hand');
  return added && ((await sendHome(added.name)) ?? (await giveBack(context, read, added)));
}

async function giveBack(context: StepContext, read: Upgrade, made: NewInstance): Promise<StepOutcome> {
  return await stepTransaction(context, 'give-back', read, async (tx, upgrade) => {
    const { name, instanceId: id } = made;
    if ((await lockOccupied(tx, [name])).length > 0) return advanced;
    // Connection services may have been added for it since.
    const processes = (await describeInstance(tx, name))?.processes ?? made.processes;
    await changeDesiredProcesses(tx, processes, { release: upgrade.fromRelease });
    const newInstances = upgrade.progress.newInstances.filter((one) => one.name !== name);
    await mergeProgress(tx, upgrade.id, { newInstances });
    const why = made.origin === 'by-hand' ? 'stays, added by hand' : 'for its accounts to come home';
    const message = `instance ${name} runs ${upgrade.fromRelease} again: ${why}`;
    await recordUpgradeEvent(tx, upgrade, message, { instanceId: id, release: upgrade.fromRelease });
    return advanced;
  });
}
