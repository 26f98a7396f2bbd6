/**
 * A destination that is added while the waves run: accounts of waves that have not begun are shared out anew, over all that take
 * over from the same old instance.
 *
 * Invariant: what a wave that has begun has moved, and what an operator has assigned, stays.
 */
import type { InstanceId } from '../../base/ids.ts';
import type { Transaction } from '../../database/connection.ts';
import { createShares } from '../state/shares.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import { changeDestinations, countAssigned, listWaitingAssignments } from '../state/wave-accounts.ts';

/** Returns how many accounts go there from now on, and the last wave that has some of them. */
export async function shareWithAdded(
  tx: Transaction,
  { id, plan, progress }: Upgrade,
  added: NewInstance,
): Promise<{ accounts: number; wave: number | undefined }> {
  const waiting = await listWaitingAssignments(tx, id, added.replacesId, Object.keys(progress.assignments));
  if (waiting.length === 0) return { accounts: 0, wave: undefined };
  const taken = await countAssigned(tx, id);
  for (const { goal } of waiting) taken.set(goal, (taken.get(goal) ?? 0) - 1);
  const shares = createShares(taken);
  const ids = new Map([[added.name, added.instanceId], ...waiting.map(({ goal, goalId }) => [goal, goalId] as const)]);
  const takers = plan.instances.filter(({ name, replaces }) => replaces === added.replaces && ids.has(name));
  const shared = waiting.map((account) => ({ ...account, next: shares.next(takers)?.name ?? account.goal }));
  const changes = shared
    .filter(({ goal, next }) => next !== goal)
    .map(({ accountId, next }) => ({ accountId, toInstanceId: ids.get(next) as InstanceId }));
  await changeDestinations(tx, id, changes);
  const own = shared.filter(({ next }) => next === added.name);
  return { accounts: own.length, wave: own.at(-1)?.wave };
}
