/**
 * From planned to moving: checks, release fence, expansion, the new administration service, the new instances, the
 * waves. Protects rules 1 to 3: the database changes only behind the fence, and additively.
 */

import { markTimeWithoutAudit } from '../../access/audit/record.ts';
import { budgetSchema } from '../../api/budget.ts';
import type { CheckResult } from '../../api/upgrade-plan.ts';
import { counted } from '../../base/counted.ts';
import type { AccountId, InstanceId } from '../../base/ids.ts';
import type { Transaction } from '../../database/connection.ts';
import { readBudget, writeBudget } from '../../deliveries/budget.ts';
import { setDomainRelease } from '../../domain/domain-changes.ts';
import { standingInstances } from '../../instances/instances.ts';
import { listComponents } from '../../registry/components.ts';
import { changeDesiredProcesses, listDesiredProcesses } from '../../registry/desired-processes.ts';
import { missingOf, notYetRunning } from '../components/component-readiness.ts';
import { hostsFetching } from '../components/host-readiness.ts';
import { listInstancesBehind } from '../components/instances-behind.ts';
import { grantRights } from '../fence/patch-rights.ts';
import { accountDestinations } from '../plan/account-destinations.ts';
import { canaryFault, findCanaries } from '../plan/canaries.ts';
import { withOverrides } from '../plan/check-overrides.ts';
import { countDevicesOf, limitsHelp, overloadText } from '../plan/instance-limits.ts';
import { reuseWaves } from '../plan/reuse-plan.ts';
import { assignWaves } from '../plan/wave-assignment.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import { hasReached } from '../state/upgrade-steps.ts';
import {
  mergeProgress,
  reachStep,
  recordUpgradeEvent,
  setWaitingFor,
  transition,
  type Upgrade,
} from '../state/upgrade-store.ts';
import { type Assignment, insertAssignments } from '../state/wave-accounts.ts';
import { insertWaves } from '../state/wave-store.ts';
import { divideReplacements } from './in-place-steps.ts';
import { comparePlan, completeInstancesOrPause } from './instance-steps.ts';
import { administrationsToStart } from './late-administrations.ts';
import { pauseUpgrade } from './pausing.ts';
import { replaceRouters } from './router-steps.ts';
import {
  advanced,
  fencedStep,
  type StepContext,
  type StepOutcome,
  stepTransaction,
  waitingFor,
} from './step-context.ts';

/** planned → checked, once an operator has started it. */
export async function stepPlanned(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  if (!hasReached(upgrade.progress.step, 'started')) return waitingFor(startText(upgrade.progress.checks));
  // Includes what was added after planning, as long as stopping costs nothing.
  const compared = await comparePlan(context, upgrade);
  if (compared !== undefined) return compared;
  await context.effects.distribute(upgrade.toRelease);
  const fetching = await hostsFetching(context.db, upgrade.toRelease);
  if (fetching.length > 0) return waitingFor(`release ${upgrade.toRelease} to arrive on ${fetching.join(', ')}`);
  // Some take long, especially on a busy disk: status names the one that is running.
  const begins = (name: string) => setWaitingFor(context.db, upgrade, `the check ${name}`);
  const { overrides, startedBy, startedAt, checks } = upgrade.progress;
  // Of an earlier release's administration, which does not note when, the row was last changed by the start.
  const start = { overrides, by: startedBy, at: startedAt === undefined ? upgrade.updatedAt : new Date(startedAt) };
  const results = withOverrides(await context.effects.check(upgrade, begins), start, checks);
  const stopping = results.filter((check) => check.result === 'error' || check.result === 'warning');
  return await stepTransaction(context, 'check', upgrade, async (tx, current) => {
    await reachStep(tx, current, { at: stopping.length === 0 ? 'started' : 'to-start' }, { checks: results });
    if (stopping.length === 0) {
      await transition(tx, current, 'checked', {
        message: passedText(results),
        detail: { results },
      });
      return advanced;
    }
    const names = stopping.map((check) => check.name).join(', ');
    await recordUpgradeEvent(tx, current, `the checks stopped the upgrade: ${names}`, { results });
    return advanced;
  });
}

function passedText(results: readonly CheckResult[]): string {
  const overridden = results.filter(({ result }) => result === 'overridden').map(({ name }) => name);
  const passed = `${counted(results.length - overridden.length, 'check')} passed`;
  return overridden.length === 0 ? passed : `${passed}, ${overridden.length} overridden: ${overridden.join(', ')}`;
}

/** The wait for a start: for the first time, or after the checks stopped it. Pure. */
function startText(checks: readonly CheckResult[] | undefined): string {
  const stopping = (checks ?? []).filter(({ result }) => result === 'error' || result === 'warning');
  if (stopping.length === 0) return 'an operator: `bramble upgrade start`';
  const warnings = stopping.filter(({ result }) => result === 'warning').map(({ name }) => name);
  const flags = warnings.length === 0 ? '' : ` --override ${warnings.join(' ')}`;
  const mend = warnings.length < stopping.length ? 'errors to be fixed, then ' : '';
  const found = stopping.map(({ name, result, message }) => `${name} (${result}): ${message}`).join(' ');
  return `${mend}\`bramble upgrade start${flags}\`: the checks stopped the last start: ${found}`;
}

/** checked → admin-fenced: administrations are to be stopped, then the database is handed to the new release. */
export async function stepChecked(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  if (!hasReached(upgrade.progress.step, 'administrations-stopped')) {
    return await stepTransaction(context, 'stop-administrations', upgrade, async (tx, current) => {
      const administrations = (await listDesiredProcesses(tx))
        .filter((process) => process.kind === 'administration')
        .map((process) => ({ ...process, settings: { ...process.settings } }));
      if (hasReached(current.progress.step, 'administrations-stopped')) return advanced;
      await reachStep(tx, current, { at: 'administrations-stopped', administrations });
      const names = administrations.map((process) => process.name);
      await changeDesiredProcesses(tx, names, { state: 'stopped' });
      await recordUpgradeEvent(tx, current, `stopping the administration services: ${names.join(', ') || 'none'}`);
      return advanced;
    });
  }
  await fencedStep(context, 'fence', upgrade, fenceOptions(context, upgrade), async (tx, current, fence) => {
    await markTimeWithoutAudit(tx, current.fromRelease);
    await setDomainRelease(tx, current.toRelease);
    await transition(tx, current, 'admin-fenced', {
      message: `the database now belongs to release ${current.toRelease}; ${endedText(fence.ended.length)}`,
      detail: { met: fence.met, ended: fence.ended },
    });
  });
  return advanced;
}

export function fenceOptions(context: StepContext, upgrade: Upgrade) {
  const graceMs = upgrade.plan.options.fenceGraceMs;
  return context.signal === undefined ? { graceMs } : { graceMs, signal: context.signal };
}

/** admin-fenced → expanded. The migrator tolerates rivals and interruptions. */
export async function stepAdminFenced(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  if (upgrade.plan.patch) {
    return await stepTransaction(context, 'expand', upgrade, async (tx, current) => {
      const granted = await grantRights(tx, current);
      const rights =
        granted === 0
          ? ''
          : `; ${counted(granted, 'right of a database role is', 'rights of database roles are')} granted`;
      await transition(tx, current, 'expanded', {
        message: `a patch changes no schema: there is nothing to expand${rights}`,
      });
      return advanced;
    });
  }
  const schemaVersion = await context.effects.expand();
  return await stepTransaction(context, 'expand', upgrade, async (tx, current) => {
    await transition(tx, current, 'expanded', {
      message: `the schema is expanded to ${schemaVersion}`,
      detail: { schemaVersion },
    });
    return advanced;
  });
}

/** expanded → admin-upgraded: the new administration services are at work, and the new instances are requested. */
export async function stepExpanded(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  const { progress } = upgrade;
  const wanted = (await administrationsToStart(context, upgrade)).map(({ name }) => name);
  await context.effects.distribute(upgrade.toRelease);
  if (!hasReached(progress.step, 'administrations-started')) {
    return await stepTransaction(context, 'start-administrations', upgrade, async (tx, current) => {
      await changeDesiredProcesses(tx, wanted, { release: current.toRelease, state: 'running' });
      await reachStep(tx, current, { at: 'administrations-started' });
      await recordUpgradeEvent(tx, current, `administration services of ${current.toRelease} are starting`);
      return advanced;
    });
  }
  const missing = notYetRunning(await listComponents(context.db), wanted, upgrade.toRelease);
  if (missing.length > 0) return waitingFor(`administration services of ${upgrade.toRelease}: ${missing.join(', ')}`);
  const added = await completeInstancesOrPause(context, upgrade);
  if (added !== undefined) return added;
  return await stepTransaction(context, 'administration-ready', upgrade, async (tx, current) => {
    await useBudgetOfPlan(tx, current);
    const { length } = current.progress.newInstances;
    const added = current.plan.inPlace ? '' : `, ${counted(length, 'instance is', 'instances are')} added`;
    await transition(tx, current, 'admin-upgraded', {
      message: `administration services of ${current.toRelease} are running${added}`,
    });
    return advanced;
  });
}

async function useBudgetOfPlan(tx: Parameters<typeof writeBudget>[0], upgrade: Upgrade): Promise<void> {
  const { budget } = upgrade.plan.options;
  if (budget === undefined) return;
  const before = await readBudget(tx);
  await mergeProgress(tx, upgrade.id, { budgetBefore: before });
  await writeBudget(tx, budgetSchema.parse({ ...before, ...budget }), await standingInstances(tx));
}

/**
 * admin-upgraded → moving: once the routers are replaced, and the new instances are alive and linked to them, the
 * accounts are divided into waves.
 */
export async function stepAdminUpgraded(context: StepContext, upgrade: Upgrade): Promise<StepOutcome> {
  const router = await replaceRouters(context, upgrade);
  if (router !== undefined) return router;
  if (upgrade.plan.inPlace) return await divideReplacements(context, upgrade);
  const added = await completeInstancesOrPause(context, upgrade);
  if (added !== undefined) return added;
  const missing = missingOf(upgrade.progress.newInstances, await listComponents(context.db), upgrade.toRelease);
  if (missing !== undefined) return waitingFor(missing);
  return await stepTransaction(context, 'divide-waves', upgrade, async (tx, current) => {
    const accounts = await tx<{ id: AccountId; name: string; instanceId: InstanceId }[]>`
      select id, name, instance_id as "instanceId" from account order by name`;
    const found = await findCanaries(tx, current.plan.options);
    const fault = canaryFault(accounts, current.plan.options, found);
    if (fault !== undefined) {
      await pauseUpgrade(tx, current, fault);
      return advanced;
    }
    const destined = await withReused(tx, current);
    const waves = assignmentsOf(destined, accounts, found?.names ?? []);
    const overload = await overloadOf(tx, destined, waves);
    if (overload !== undefined) {
      await pauseUpgrade(tx, current, `new instances are too small: ${overload}. ${limitsHelp}`);
      return advanced;
    }
    await insertWaves(tx, current.id, waves);
    await insertAssignments(
      tx,
      current.id,
      waves.flatMap((wave) => wave.assignments),
    );
    await mergeProgress(tx, current.id, { newInstances: withWaves(current.progress.newInstances, waves) });
    await transition(tx, current, 'moving', { message: `${counted(waves.length, 'wave begins', 'waves begin')}` });
    return advanced;
  });
}

/** As if the instances that are still to be emptied had been upgraded already: accounts are assigned to them now. */
async function withReused(tx: Transaction, upgrade: Upgrade): Promise<Upgrade> {
  const { plan, progress } = upgrade;
  if (!plan.options.reuseInstances) return upgrade;
  const behind = await listInstancesBehind(tx, upgrade.toRelease);
  const idOf = (wanted: string) => behind.find(({ name }) => name === wanted)?.id;
  const reused = plan.instances.flatMap(({ name, replaces, origin }): NewInstance[] => {
    const [instanceId, replacesId] = [idOf(name), idOf(replaces)];
    if (origin !== 'reused' || instanceId === undefined || replacesId === undefined) return [];
    const parts = { processes: [], connectionServices: [], srpIdentifiers: [] };
    return [{ name, instanceId, replaces, replacesId, origin, ...parts }];
  });
  return { ...upgrade, progress: { ...progress, newInstances: [...progress.newInstances, ...reused] } };
}

interface WaveWithAssignments {
  number: number;
  name: string;
  assignments: Assignment[];
}

/** The waves of the accounts at instances that are replaced, each account with its destination. Canaries that are gone are left out. Pure. */
function assignmentsOf(
  upgrade: Pick<Upgrade, 'plan' | 'progress'>,
  accounts: readonly { id: AccountId; name: string; instanceId: InstanceId }[],
  found: readonly string[],
): WaveWithAssignments[] {
  const { newInstances, assignments } = upgrade.progress;
  const names = new Map(newInstances.map(({ replacesId, replaces }) => [replacesId, replaces]));
  const byName = new Map(newInstances.map((made) => [made.name, made]));
  const moving = accounts.filter((account) => names.has(account.instanceId));
  const byAccount = new Map(moving.map((account) => [account.name, account]));
  const { options } = upgrade.plan;
  const placed = moving.map(({ name, instanceId }) => ({ name, instance: names.get(instanceId) ?? '' }));
  const canaries = [...new Set([...options.canaries, ...found])].filter((name) => byAccount.has(name));
  const order = [...new Set([...upgrade.plan.instances, ...newInstances].map(({ replaces }) => replaces))];
  const waves = options.reuseInstances
    ? reuseWaves(placed, order, { ...options, canaries })
    : assignWaves(placed, { ...options, canaries });
  const assigned = (account: string) => byName.get(assignments[account] ?? '');
  const takers = newInstances.filter(({ origin }) => origin !== 'by-hand');
  const destinations = accountDestinations(waves, placed, takers, assigned);
  return waves.map(({ number, name, accounts }) => ({
    number,
    name,
    assignments: accounts.flatMap((accountName) => {
      const [account, goal] = [byAccount.get(accountName), destinations.get(accountName)];
      if (account === undefined || goal === undefined) return [];
      return {
        accountId: account.id,
        waveNumber: number,
        fromInstanceId: account.instanceId,
        toInstanceId: goal.instanceId as InstanceId,
      };
    }),
  }));
}

/** As the accounts are now, and as an operator has assigned them. */
async function overloadOf(
  tx: Transaction,
  { plan, progress }: Upgrade,
  waves: readonly WaveWithAssignments[],
): Promise<string | undefined> {
  const { maxAccounts, maxDevices } = plan.options;
  if (maxAccounts === undefined && maxDevices === undefined) return undefined;
  const assignments = waves.flatMap((wave) => wave.assignments);
  const devices = await countDevicesOf(
    tx,
    assignments.map(({ accountId }) => accountId),
  );
  const loads = progress.newInstances.map(({ name, instanceId }) => {
    const own = assignments.filter(({ toInstanceId }) => toInstanceId === instanceId);
    const sum = own.reduce((total, { accountId }) => total + (devices.get(accountId) ?? 0), 0);
    return { name, accounts: own.length, devices: sum };
  });
  return overloadText(loads, plan.options);
}

/** Each new instance with the last wave that moves accounts to it, if one does. Pure. */
function withWaves(newInstances: readonly NewInstance[], waves: readonly WaveWithAssignments[]): NewInstance[] {
  return newInstances.map((made) => {
    const wave = waves.findLast(({ assignments }) =>
      assignments.some(({ toInstanceId }) => toInstanceId === made.instanceId),
    );
    return wave === undefined ? made : { ...made, wave: wave.number };
  });
}

function endedText(count: number): string {
  if (count === 0) return 'all sessions ended by themselves';
  return count === 1 ? '1 session had to be ended' : `${count} sessions had to be ended`;
}
