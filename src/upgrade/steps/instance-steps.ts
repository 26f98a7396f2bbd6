/**
 * The instances that take over the accounts: those of the plan, and one for every instance of an earlier release that
 * is not in the plan (added after it was made, or by hand). Before each is added, the plan is compared with the domain.
 *
 * Invariant: no instance is replaced while it has accounts; whatever the plan says, each account at an earlier release
 * has an instance to go to, or the upgrade names the instance that has no replacement, and says why.
 */

import type { PlannedInstance } from '../../api/upgrade-plan.ts';
import { counted } from '../../base/counted.ts';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import type { Queryable } from '../../database/connection.ts';
import { listUsableHosts } from '../../hosts/hosts.ts';
import { listInstancesBehind, occupiedText } from '../components/instances-behind.ts';
import { unusableText } from '../components/usable-hosts.ts';
import { instancesToAdd, isUpToDate, planChanges, updatePlan } from '../plan/plan-comparison.ts';
import { readInstanceFacts } from '../plan/plan-facts.ts';
import { mergeProgress, recordUpgradeEvent, type Upgrade } from '../state/upgrade-store.ts';
import { shareWithAdded } from '../waves/added-destination.ts';
import { countFailedMoves, moveStragglers } from '../waves/latecomers.ts';
import { addNewInstance } from './new-instances.ts';
import { pauseStep } from './pausing.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction, waitingFor } from './step-context.ts';

/** Adapts the plan to the domain; undefined if it is up to date. */
export async function comparePlan(context: StepContext, read: Upgrade): Promise<StepOutcome | undefined> {
  // In place no instance is added: they are listed when they are divided into waves.
  if (read.plan.inPlace) return undefined;
  const behind = await listInstancesBehind(context.db, read.toRelease);
  const { takenNames } =
    instancesToAdd(read).length === 0 ? { takenNames: [] } : await readInstanceFacts(context.db, context.host);
  if (isUpToDate(planChanges(read, { behind, takenNames }))) return undefined;
  return await stepTransaction(context, 'compare-plan', read, async (tx, upgrade) => {
    await updatePlan(tx, upgrade, context.host);
    return advanced;
  });
}

/** An instance cannot be added, and retrying will not help: the message says why, and what to do. */
interface Stuck {
  kind: 'stuck';
  reason: string;
}

/**
 * Compares plan and domain, and adds one instance after the other, even if another one cannot be added; undefined once
 * all are.
 */
export async function completeInstances(context: StepContext, read: Upgrade): Promise<StepOutcome | Stuck | undefined> {
  const compared = await comparePlan(context, read);
  if (compared !== undefined) return compared;
  const missing = instancesToAdd(read);
  if (missing.length === 0) return undefined;
  const usable = await usableHosts(context, context.db);
  const next = missing.find(({ host }) => usable.includes(host));
  if (next !== undefined) return await addInstance(context, read, next);
  const [elsewhere] = missing;
  return elsewhere && stuck(elsewhere, `it is planned on ${elsewhere.host}, ${unusableText(usable)}`);
}

async function usableHosts({ host }: StepContext, q: Queryable): Promise<string[]> {
  return [host, ...(await listUsableHosts(q))];
}

/** Like {@link completeInstances}, but pauses the upgrade if an instance cannot be added. */
export async function completeInstancesOrPause(context: StepContext, read: Upgrade): Promise<StepOutcome | undefined> {
  const outcome = await completeInstances(context, read);
  return outcome?.kind === 'stuck' ? await pauseStep(context, read, outcome.reason) : outcome;
}

const lasting = ['ERR_SRP_CREDENTIAL', 'ERR_NO_ROUTER', 'ERR_UPGRADE_INSTANCE', 'ERR_NOT_FOUND'] as const;

async function addInstance(context: StepContext, read: Upgrade, next: PlannedInstance): Promise<StepOutcome | Stuck> {
  try {
    return await stepTransaction(context, 'add-instance', read, async (tx, upgrade) => {
      // Removed in between: the next look says so. Nobody removes a host while the upgrade is locked.
      if (!(await usableHosts(context, tx)).includes(next.host)) return advanced;
      const added = await addNewInstance(tx, next, upgrade.toRelease, context);
      const { accounts, wave } = await shareWithAdded(tx, upgrade, added);
      const made = { ...added, wave };
      await mergeProgress(tx, upgrade.id, { newInstances: [...upgrade.progress.newInstances, made] });
      const taking = accounts === 0 ? '' : `, and takes ${counted(accounts, 'account')} of waves that have not begun`;
      await recordUpgradeEvent(tx, upgrade, `instance ${made.name} is added for ${made.replaces}${taking}`, { made });
      return advanced;
    });
  } catch (error) {
    if (!lasting.some((code) => isBrambleError(error, code))) throw error;
    // Its name may have just been taken: then the plan gets another one.
    return (await comparePlan(context, read)) ?? stuck(next, messageOf(error));
  }
}

function stuck({ name, replaces }: PlannedInstance, why: string): Stuck {
  const ways = `Fix that, or move the accounts of ${replaces} away (\`bramble move start --from ${replaces} --to …\`)`;
  return {
    kind: 'stuck',
    reason: `${name}, which should take over from ${replaces}, cannot be added: ${why.replace(/\.$/, '')}. ${ways}.`,
  };
}

/** Before anything old is replaced; undefined once no account is at an instance of an earlier release. */
export async function handOverAccounts(context: StepContext, read: Upgrade): Promise<StepOutcome | undefined> {
  const occupied = (await listInstancesBehind(context.db, read.toRelease)).filter(({ accounts }) => accounts > 0);
  if (occupied.length === 0) return undefined;
  const missing = await completeInstances(context, read);
  if (missing !== undefined && missing.kind !== 'stuck') return missing;
  return await stepTransaction(context, 'hand-over', read, async (tx, upgrade) => {
    await moveStragglers(tx, upgrade, context.name, 'last-wave');
    const failed = await countFailedMoves(tx, upgrade.id);
    const again = failed === 0 ? '' : `; ${failed} could not be moved and will be retried`;
    const still = `accounts that are still at instances of an earlier release: ${occupiedText(occupied)}${again}`;
    return waitingFor(missing === undefined ? still : `${still}; ${missing.reason}`);
  });
}
