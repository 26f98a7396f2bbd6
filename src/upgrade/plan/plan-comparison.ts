/**
 * Finds where plan and domain differ, and updates the plan. The plan was made some time ago, by another release: the
 * domain is authoritative.
 */

import type { PlannedInstance } from '../../api/upgrade-plan.ts';
import type { Transaction } from '../../database/connection.ts';
import { listInstancesBehind, type PlacedInstance } from '../components/instances-behind.ts';
import { mergeProgress, recordUpgradeEvent, replacePlan, type Upgrade } from '../state/upgrade-store.ts';
import { readInstanceFacts } from './plan-facts.ts';
import { freeName, planInstances } from './planned-instances.ts';

/** The parts of the domain that a plan depends on. */
interface DomainFacts {
  behind: readonly PlacedInstance[];
  /** Names of instances, connection services and processes. */
  takenNames: readonly string[];
}

interface PlanChanges {
  /** Instances with accounts that no planned one replaces. */
  joining: string[];
  /** Planned but not added, and the instance to be replaced is gone. */
  gone: PlannedInstance[];
  /**
   * Planned but not added; the instance to be replaced has no accounts (1.1 planned one for each), and no operator
   * named it.
   */
  empty: PlannedInstance[];
  /** Planned but not added, and one of its names has been taken since. */
  taken: PlannedInstance[];
}

/** Without emptied ones that become destinations: those are there already. */
export function instancesToAdd({ plan, progress }: Pick<Upgrade, 'plan' | 'progress'>): PlannedInstance[] {
  const made = new Set(progress.newInstances.map(({ name }) => name));
  return plan.instances.filter((planned) => planned.origin !== 'reused' && !made.has(planned.name));
}

/** Pure. */
export function planChanges(upgrade: Pick<Upgrade, 'plan' | 'progress'>, facts: DomainFacts): PlanChanges {
  const { plan, progress } = upgrade;
  const replaced = new Set(plan.instances.map((planned) => planned.replaces));
  const accountsAt = new Map(facts.behind.map(({ name, accounts }) => [name, accounts]));
  const assigned = new Set(Object.values(progress.assignments));
  const isWished = (planned: PlannedInstance) =>
    Object.hasOwn(plan.options.instances, planned.replaces) || assigned.has(planned.name);
  const isGone = ({ replaces }: PlannedInstance) => !accountsAt.has(replaces);
  const isEmpty = (planned: PlannedInstance) => accountsAt.get(planned.replaces) === 0 && !isWished(planned);
  const planned = instancesToAdd(upgrade);
  return {
    joining: facts.behind.filter(({ name, accounts }) => accounts > 0 && !replaced.has(name)).map(({ name }) => name),
    gone: planned.filter(isGone),
    empty: planned.filter(isEmpty),
    taken: planned.filter(
      (each) => !isGone(each) && !isEmpty(each) && namesOf(each).some((name) => facts.takenNames.includes(name)),
    ),
  };
}

export function isUpToDate({ joining, gone, empty, taken }: PlanChanges): boolean {
  return joining.length + gone.length + empty.length + taken.length === 0;
}

/** Rewrites the plan, and returns the differences. @param host of instances whose host is unknown */
export async function updatePlan(tx: Transaction, upgrade: Upgrade, host: string): Promise<void> {
  const { instances, takenNames } = await readInstanceFacts(tx, host);
  const facts = { behind: await listInstancesBehind(tx, upgrade.toRelease), takenNames };
  const { joining, gone, empty, taken } = planChanges(upgrade, facts);
  const left = upgrade.plan.instances.filter((planned) => !gone.includes(planned) && !empty.includes(planned));
  const names = new Set([...takenNames, ...left.flatMap(namesOf)]);
  const free = (name: string) => (takenNames.includes(name) ? freeName(name, upgrade.toRelease, names) : name);
  const renamed = taken.map((planned) => ({
    planned,
    name: free(planned.name),
    connectionServices: planned.connectionServices.map((service) => ({ ...service, name: free(service.name) })),
  }));
  const kept = left.map((before) => {
    const change = renamed.find(({ planned }) => planned === before);
    return change === undefined
      ? before
      : { ...before, name: change.name, connectionServices: change.connectionServices };
  });
  const added = planInstances(
    {
      instances: instances.filter(({ name }) => joining.includes(name)),
      takenNames: [...names],
      target: { release: upgrade.toRelease },
    },
    upgrade.plan.options,
  );
  await replacePlan(tx, upgrade.id, { ...upgrade.plan, instances: [...kept, ...added] });
  // Accounts that were assigned to it keep it under its new name.
  const newNames = new Map(renamed.map(({ planned, name }) => [planned.name, name]));
  const assignments = Object.entries(upgrade.progress.assignments).map(([account, name]) => [
    account,
    newNames.get(name) ?? name,
  ]);
  await mergeProgress(tx, upgrade.id, { assignments: Object.fromEntries(assignments) });
  const messages = [
    ...gone.map(({ name, replaces }) => `instance ${replaces} is no longer there: ${name} is not needed`),
    ...empty.map(({ name, replaces }) => `instance ${replaces} has no accounts: ${name} is not needed`),
    ...renamed.map((change) => {
      const { planned } = change;
      const before = namesOf(planned).filter((name) => takenNames.includes(name));
      const after = namesOf(change);
      return `taken meanwhile: ${before.join(', ')}; for ${planned.replaces} comes ${after.join(' with ')}`;
    }),
    ...added.map(
      ({ name, replaces }) => `instance ${replaces}, which the plan does not know, joins: ${name} takes over`,
    ),
  ];
  for (const message of messages) await recordUpgradeEvent(tx, upgrade, message);
}

function namesOf({ name, connectionServices }: Pick<PlannedInstance, 'name' | 'connectionServices'>): string[] {
  return [name, ...connectionServices.map((service) => service.name)];
}
