/**
 * The instances that take the accounts over: those of the plan, and one for every instance of an earlier release that the
 * plan does not know (added after it was made, or by hand on another host). The plan was made by another release, some time
 * ago: the domain is what counts.
 *
 * Invariant: no instance is replaced while accounts are at it; whatever the plan says, each account at an earlier release
 * has an instance to go to.
 */
import type { Queryable, Transaction } from '../database/connection.ts';
import { type Component, listComponents } from '../domain/components.ts';
import { createMoveBatch } from '../moves/batch-store.ts';
import { notLinked, notYetAt } from './component-readiness.ts';
import { listInstancesBehind, occupiedText, type PlacedInstance } from './instances-behind.ts';
import { addNewInstance } from './new-instances.ts';
import { planInstances } from './plan.ts';
import { readInstanceFacts } from './plan-facts.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction, waitingFor } from './step-context.ts';
import type { NewInstance, PlannedInstance } from './upgrade-plan.ts';
import { mergeProgress, recordUpgradeEvent, replacePlan, type Upgrade } from './upgrade-store.ts';
import { assignLatecomers, insertWaves, listUnmoved, listWaves, setWaveState } from './wave-store.ts';

/**
 * Adds what is missing: first the plan is brought up to what the domain has, then one instance after the other is added.
 * Undefined when nothing is missing.
 */
export async function addMissingInstance(context: StepContext, read: Upgrade): Promise<StepOutcome | undefined> {
  const changed = planChanges(read, await listInstancesBehind(context.db, read.toRelease));
  if (changed.joining.length + changed.gone.length + changed.empty.length > 0) {
    return await stepTransaction(context, 'compare-plan', read, async (tx, upgrade) => {
      await bringPlanUp(tx, upgrade);
      return advanced;
    });
  }
  const next = notMade(read)[0];
  if (next === undefined) return undefined;
  return await stepTransaction(context, 'add-instance', read, async (tx, upgrade) => {
    const added = await addNewInstance(tx, next, upgrade.toRelease, context.effects);
    await mergeProgress(tx, upgrade.id, { newInstances: [...upgrade.progress.newInstances, added] });
    await recordUpgradeEvent(tx, upgrade, `instance ${added.name} is added for ${added.replaces}`, { made: added });
    return advanced;
  });
}

function notMade({ plan, progress }: Pick<Upgrade, 'plan' | 'progress'>): PlannedInstance[] {
  const made = new Set(progress.newInstances.map(({ name }) => name));
  return plan.instances.filter((planned) => !made.has(planned.name));
}

/**
 * Where plan and domain differ: instances with accounts that no planned one replaces, and planned ones that nobody needs,
 * since the old one is gone or has no account (a plan of 1.1 has one for each) and no operator asked for it by name.
 */
export function planChanges(
  upgrade: Pick<Upgrade, 'plan' | 'progress'>,
  behind: readonly PlacedInstance[],
): { joining: string[]; gone: PlannedInstance[]; empty: PlannedInstance[] } {
  const { plan, progress } = upgrade;
  const replaced = new Set(plan.instances.map((planned) => planned.replaces));
  const accountsAt = new Map(behind.map(({ name, accounts }) => [name, accounts]));
  const assigned = new Set(Object.values(progress.assignments));
  const isWished = (planned: PlannedInstance) =>
    Object.hasOwn(plan.options.instances, planned.replaces) || assigned.has(planned.name);
  return {
    joining: behind.filter(({ name, accounts }) => accounts > 0 && !replaced.has(name)).map(({ name }) => name),
    gone: notMade(upgrade).filter((planned) => !accountsAt.has(planned.replaces)),
    empty: notMade(upgrade).filter((planned) => accountsAt.get(planned.replaces) === 0 && !isWished(planned)),
  };
}

async function bringPlanUp(tx: Transaction, upgrade: Upgrade): Promise<void> {
  const { joining, gone, empty } = planChanges(upgrade, await listInstancesBehind(tx, upgrade.toRelease));
  const kept = upgrade.plan.instances.filter((planned) => !gone.includes(planned) && !empty.includes(planned));
  const { instances, takenNames } = await readInstanceFacts(tx, upgrade.plan.instances[0]?.host ?? '');
  const added = planInstances(
    {
      instances: instances.filter(({ name }) => joining.includes(name)),
      takenNames: [...takenNames, ...kept.map(({ name }) => name)],
      target: { release: upgrade.toRelease, features: [] },
    },
    upgrade.plan.options,
  );
  await replacePlan(tx, upgrade.id, { ...upgrade.plan, instances: [...kept, ...added] });
  for (const { name, replaces } of gone) {
    await recordUpgradeEvent(tx, upgrade, `instance ${replaces} is no longer there: ${name} is not needed`);
  }
  for (const { name, replaces } of empty) {
    await recordUpgradeEvent(tx, upgrade, `instance ${replaces} has no accounts: ${name} is not needed`);
  }
  for (const { name, replaces } of added) {
    await recordUpgradeEvent(
      tx,
      upgrade,
      `instance ${replaces}, which the plan does not know, joins: ${name} takes over`,
    );
  }
}

/** What of these instances is not there yet, as a reason to wait; undefined when all are alive and linked. */
export function missingOf(
  newInstances: readonly Pick<NewInstance, 'processes' | 'srpIdentifiers'>[],
  components: readonly Component[],
  release: string,
): string | undefined {
  const names = newInstances.flatMap((made) => made.processes);
  const missing = notYetAt(components, names, release);
  if (missing.length > 0) return `processes of ${release}: ${missing.join(', ')}`;
  const unlinked = notLinked(
    components,
    newInstances.flatMap((made) => made.srpIdentifiers),
  );
  return unlinked.length > 0 ? `links to a router: ${unlinked.join(', ')}` : undefined;
}

/**
 * The wave that latecomers join is the last one. A domain that had no account has none: theirs has none before it to be
 * held against, and so no gate.
 */
export async function joinLatecomerWave(tx: Transaction, upgrade: Upgrade): Promise<void> {
  if ((await listWaves(tx, upgrade.id)).length > 0) return;
  await insertWaves(tx, upgrade.id, [{ number: 1, name: 'latecomers' }]);
  await setWaveState(tx, upgrade.id, 1, 'passed');
}

/** Accounts at an old instance that no wave has yet follow with the last one, once there is somebody to take them. */
export async function joinLatecomers(tx: Transaction, upgrade: Upgrade): Promise<void> {
  const components = await listComponents(tx);
  const replacements = upgrade.progress.newInstances
    .filter((made) => missingOf([made], components, upgrade.toRelease) === undefined)
    .map((made) => ({ fromInstanceId: made.replacesId, toInstanceId: made.instanceId }));
  await joinLatecomerWave(tx, upgrade);
  await assignLatecomers(tx, upgrade.id, replacements);
}

/** Accounts that are not where they are to go, or at an earlier release, whether a wave has them or not. */
export async function countStragglers(q: Queryable, upgrade: Upgrade): Promise<number> {
  const behind = (await listInstancesBehind(q, upgrade.toRelease)).map(({ id }) => id);
  const [row] = await q<{ count: number }[]>`
    select count(*)::int as count
      from account a left join upgrade_assignment s on s.account_id = a.id and s.upgrade_id = ${upgrade.id}
     where a.instance_id <> s.to_instance_id or a.instance_id = any(${behind}::uuid[])`;
  return row?.count ?? 0;
}

/** Queues a move for every account of the waves up to `wave` that needs one and has none open; returns how many. */
export async function queueMoves(tx: Transaction, upgrade: Upgrade, wave: number, createdBy: string): Promise<number> {
  const moves = await listUnmoved(tx, upgrade.id, wave);
  if (moves.length === 0) return 0;
  const batch = await createMoveBatch(tx, {
    ...{ purpose: 'wave' as const, createdBy, upgradeId: upgrade.id, waveNumber: wave, moves },
  });
  return batch.queued;
}

/** Gives every account that is not at a new instance a place in the last wave, and a move. */
export async function moveLatecomers(tx: Transaction, upgrade: Upgrade, createdBy: string): Promise<void> {
  await joinLatecomers(tx, upgrade);
  const last = (await listWaves(tx, upgrade.id)).at(-1)?.number ?? 1;
  await queueMoves(tx, upgrade, last, createdBy);
}

/** Before anything old is replaced: undefined once no account is at an instance of an earlier release. */
export async function handAccountsOver(context: StepContext, read: Upgrade): Promise<StepOutcome | undefined> {
  const occupied = (await listInstancesBehind(context.db, read.toRelease)).filter(({ accounts }) => accounts > 0);
  if (occupied.length === 0) return undefined;
  const added = await addMissingInstance(context, read);
  if (added !== undefined) return added;
  return await stepTransaction(context, 'hand-over', read, async (tx, upgrade) => {
    await moveLatecomers(tx, upgrade, context.name);
    return waitingFor(`accounts that are still at instances of an earlier release: ${occupiedText(occupied)}`);
  });
}
