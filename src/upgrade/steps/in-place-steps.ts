/**
 * moving and reversing of an upgrade in place: each process is replaced by the other release under the same name and
 * SRP credential. Nothing is moved and nothing is sent; a gate judges each wave of instances as it judges waves of
 * accounts.
 *
 * Invariant: one process at a time, and the next only once devices reach the previous one: until then the supervisor
 * keeps the replaced process running.
 */
import { counted } from '../../base/counted.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { databaseTime } from '../../database/database-time.ts';
import { listComponents } from '../../registry/components.ts';
import { changeDesiredProcesses, type DesiredProcess, listDesiredProcesses } from '../../registry/desired-processes.ts';
import { isHostSilent } from '../../registry/supervisors.ts';
import { overdueText } from '../components/absent-process-text.ts';
import { isAtWork } from '../components/component-readiness.ts';
import { findInstancesBehind } from '../components/instances-behind.ts';
import { findCanaries } from '../plan/canaries.ts';
import { planReplacements } from '../plan/in-place-plan.ts';
import { readInstanceFacts } from '../plan/plan-facts.ts';
import type { Schedule } from '../state/schedule-windows.ts';
import type { Replacement } from '../state/upgrade-plan.ts';
import { mergeProgress, noteAbsence, recordUpgradeEvent, transition, type Upgrade } from '../state/upgrade-store.ts';
import { insertWaves, listWaves, setWaveState, type Wave } from '../state/wave-store.ts';
import { heldBySchedule } from '../waves/schedule.ts';
import { pauseStep } from './pausing.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction, waitingFor } from './step-context.ts';

/** admin-upgraded → moving: divides the instances, as they are now, into waves. */
export async function divideReplacements(context: StepContext, read: Upgrade): Promise<StepOutcome> {
  return await stepTransaction(context, 'divide-waves', read, async (tx, upgrade) => {
    await joinReplacements(tx, upgrade, context.host);
    const waves = await listWaves(tx, upgrade.id);
    await transition(tx, upgrade, 'moving', {
      message: `${counted(waves.length, 'wave begins', 'waves begin')}: instances are replaced in place`,
    });
    return advanced;
  });
}

/**
 * Adds instances of the previous release that are in no wave to waves: at first all, later new ones, in waves of their
 * own. Returns how many there were.
 */
async function joinReplacements(tx: Transaction, upgrade: Upgrade, host: string): Promise<number> {
  const { replacements } = upgrade.progress;
  const known = new Set(replacements.map(({ instanceId }) => instanceId));
  const joining = (await findInstancesBehind(tx, upgrade.toRelease)).filter(({ id }) => !known.has(id));
  if (joining.length === 0) return 0;
  const { instances } = await readInstanceFacts(tx, host);
  const accounts = await tx<{ name: string; instance: string }[]>`
    select a.name, i.name as instance from account a join instance i on i.id = a.instance_id
     where i.id = any(${joining.map(({ id }) => id)}::uuid[]) order by a.name`;
  const there = new Set(accounts.map(({ name }) => name));
  const { options } = upgrade.plan;
  const found = (await findCanaries(tx, options))?.names ?? [];
  const canaries = [...new Set([...options.canaries, ...found])].filter((name) => there.has(name));
  const planned = planReplacements(
    { accounts, instances: instances.filter(({ name }) => joining.some((each) => each.name === name)) },
    { ...options, canaries },
  );
  const last = Math.max(0, ...replacements.map(({ wave }) => wave));
  const taken = new Set(replacements.flatMap(({ processes }) => processes));
  const added = planned.flatMap((each): Replacement[] => {
    const instanceId = joining.find(({ name }) => name === each.name)?.id;
    if (instanceId === undefined) return [];
    return [
      { ...each, instanceId, wave: last + each.wave, processes: each.processes.filter((name) => !taken.has(name)) },
    ];
  });
  const numbers = [...new Set(added.map(({ wave }) => wave))];
  await insertWaves(
    tx,
    upgrade.id,
    numbers.map((number) => ({ number, name: namesOf(added.filter(({ wave }) => wave === number)) })),
  );
  await mergeProgress(tx, upgrade.id, { replacements: [...replacements, ...added] });
  return added.length;
}

function namesOf(replacements: readonly Replacement[]): string {
  return replacements.map(({ name }) => name).join(', ');
}

/** A wave that is running: its instances are replaced one after the other; then it is observed. */
export async function replaceWave(
  context: StepContext,
  read: Upgrade,
  wave: Wave,
  schedule: Schedule,
): Promise<StepOutcome> {
  const own = read.progress.replacements.filter((each) => each.wave === wave.number);
  const next = own.find(({ atWorkAt }) => atWorkAt === undefined);
  const held = heldBySchedule(schedule);
  if (held !== undefined && next !== undefined && next.beganAt === undefined) return waitingFor(held);
  if (next !== undefined) return await replaceInstance(context, read, next);
  return await stepTransaction(context, 'soak-wave', read, async (tx, upgrade) => {
    await setWaveState(tx, upgrade.id, wave.number, 'soaking');
    await recordUpgradeEvent(tx, upgrade, `wave ${wave.number} (${wave.name}) has been replaced and is being observed`);
    return advanced;
  });
}

/**
 * A wave that is observed: undefined while devices are served by the new release. If a successor fails, its predecessor
 * goes on and would be judged instead: then the instance is waited for again.
 */
export async function watchReplaced(context: StepContext, read: Upgrade, wave: Wave): Promise<StepOutcome | undefined> {
  const [components, all] = await Promise.all([listComponents(context.db), listDesiredProcesses(context.db)]);
  const isBack = (name: string) =>
    all.some((process) => process.name === name && process.state === 'running' && process.release === read.toRelease) &&
    components.some((each) => each.name === name && each.alive && each.release !== read.toRelease);
  const back = read.progress.replacements.filter((each) => each.wave === wave.number && each.processes.some(isBack));
  if (back.length === 0) return undefined;
  const names = back.flatMap(({ processes }) => processes.filter(isBack));
  return await stepTransaction(context, 'reopen-wave', read, async (tx, upgrade) => {
    const replacements = upgrade.progress.replacements.map(
      ({ atWorkAt, ...each }): Replacement =>
        atWorkAt === undefined || back.some(({ instanceId }) => instanceId === each.instanceId)
          ? each
          : { ...each, atWorkAt },
    );
    await mergeProgress(tx, upgrade.id, { replacements });
    await setWaveState(tx, upgrade.id, wave.number, 'running');
    await recordUpgradeEvent(
      tx,
      upgrade,
      `${read.fromRelease} serves again because its successor failed: ${names.join(', ')}`,
    );
    return advanced;
  });
}

async function replaceInstance(context: StepContext, read: Upgrade, next: Replacement): Promise<StepOutcome> {
  const { toRelease } = read;
  const [components, all] = await Promise.all([listComponents(context.db), listDesiredProcesses(context.db)]);
  const wanted = all.filter(({ name }) => next.processes.includes(name));
  for (const name of next.processes) {
    const process = wanted.find((each) => each.name === name);
    if (process === undefined) continue;
    if (process.release !== toRelease) return await runProcess(context, read, process, toRelease, next);
    if (process.state !== 'running' || isAtWork(components, process, toRelease)) continue;
    if (await isHostSilent(context.db, process.host)) {
      await noteAbsence(context.db, read);
      return waitingFor(`the supervisor of ${process.host} to be at work; ${name} of ${toRelease} is started then`);
    }
    if (await isOverdue(context, read, name)) {
      return await pauseStep(
        context,
        read,
        `${overdueText(process, read.plan.options.readySeconds)}; then resume or reverse`,
      );
    }
    return waitingFor(`${name} of ${toRelease} on ${process.host}; ${read.fromRelease} serves until it is ready`);
  }
  return await stepTransaction(context, 'instance-replaced', read, async (tx, upgrade) => {
    await noteTime(tx, upgrade, next, 'atWorkAt');
    await recordUpgradeEvent(
      tx,
      upgrade,
      `${next.processes.join(', ')} ${next.processes.length === 1 ? 'is' : 'are'} of ${toRelease}`,
    );
    return advanced;
  });
}

/** Since the new release was wanted for it, or the upgrade was resumed, or nobody is away. */
export async function isOverdue(context: StepContext, read: Upgrade, name: string): Promise<boolean> {
  const [row] = await context.db`
    select 1 from desired_process p join upgrade u on u.id = ${read.id}
     where p.name = ${name}
       and greatest(p.changed_at, u.updated_at, ${read.progress.absentUntil ?? null}::timestamptz) < clock_timestamp() - make_interval(secs => ${read.plan.options.readySeconds})`;
  return row !== undefined;
}

async function runProcess(
  context: StepContext,
  read: Upgrade,
  { name }: Pick<DesiredProcess, 'name'>,
  release: string,
  replacement?: Replacement,
): Promise<StepOutcome> {
  return await stepTransaction(context, 'replace-process', read, async (tx, upgrade) => {
    await changeDesiredProcesses(tx, [name], { release });
    if (replacement !== undefined && replacement.beganAt === undefined) {
      await noteTime(tx, upgrade, replacement, 'beganAt');
    }
    await recordUpgradeEvent(tx, upgrade, `switching to ${release}: ${name}`);
    return advanced;
  });
}

/** By the database's clock, as the figures of gates are. */
async function noteTime(
  tx: Transaction,
  upgrade: Upgrade,
  { instanceId }: Replacement,
  what: 'beganAt' | 'atWorkAt',
): Promise<void> {
  const at = (await databaseTime(tx)).toISOString();
  const replacements = upgrade.progress.replacements.map((each) =>
    each.instanceId === instanceId ? { ...each, [what]: at } : each,
  );
  await mergeProgress(tx, upgrade.id, { replacements });
}

/** After the waves: instances that were added since, or still run the previous release; undefined if there are none. */
export async function replaceLatecomers(context: StepContext, read: Upgrade): Promise<StepOutcome | undefined> {
  const known = new Set(read.progress.replacements.map(({ instanceId }) => instanceId));
  const joining = (await findInstancesBehind(context.db, read.toRelease)).filter(({ id }) => !known.has(id));
  if (joining.length === 0) return undefined;
  return await stepTransaction(context, 'join-waves', read, async (tx, upgrade) => {
    await joinReplacements(tx, upgrade, context.host);
    const message = `${joining.map(({ name }) => name).join(', ')} joined meanwhile: another wave follows`;
    if (upgrade.state === 'moving') await recordUpgradeEvent(tx, upgrade, message);
    else await transition(tx, upgrade, 'moving', { message });
    return advanced;
  });
}

/** Everything that still runs the previous release; undefined if there is nothing. */
export async function replaceRest(context: StepContext, read: Upgrade): Promise<StepOutcome | undefined> {
  const { toRelease } = read;
  const [components, all] = await Promise.all([listComponents(context.db), listDesiredProcesses(context.db)]);
  const replaceable = all.filter(({ kind }) => kind !== 'coordinator');
  const missing = replaceable.find(
    (each) => each.state === 'running' && each.release === toRelease && !isAtWork(components, each, toRelease),
  );
  if (missing !== undefined) return waitingFor(`${missing.name} of ${toRelease} on ${missing.host}`);
  const next = replaceable.find(({ release }) => release !== toRelease);
  return next && (await runProcess(context, read, next, toRelease));
}

/**
 * Reversing: instances and connection services return to the previous release, last first; undefined once all have. One
 * that does not start is waited for as long as when it was replaced; then that is recorded, and the others follow.
 */
export async function restoreInstances(context: StepContext, read: Upgrade): Promise<StepOutcome | undefined> {
  const { fromRelease, toRelease, progress } = read;
  const [components, all] = await Promise.all([listComponents(context.db), listDesiredProcesses(context.db)]);
  const order = progress.replacements.flatMap(({ processes }) => processes);
  const serving = all
    .filter(({ kind }) => kind === 'server' || kind === 'connection')
    .sort((a, b) => order.indexOf(b.name) - order.indexOf(a.name));
  for (const process of serving) {
    if (process.release === toRelease || process.state !== 'running') continue;
    if (progress.passedOver.includes(process.name) || isAtWork(components, process, fromRelease)) continue;
    if (await isOverdue(context, read, process.name)) return await passOver(context, read, process);
    return waitingFor(`${process.name} of ${fromRelease} on ${process.host}`);
  }
  const next = serving.find(({ release }) => release === toRelease);
  return next && (await runProcess(context, read, next, fromRelease));
}

async function passOver(context: StepContext, read: Upgrade, process: DesiredProcess): Promise<StepOutcome> {
  return await stepTransaction(context, 'pass-over', read, async (tx, upgrade) => {
    await mergeProgress(tx, upgrade.id, { passedOver: [...upgrade.progress.passedOver, process.name] });
    await recordUpgradeEvent(
      tx,
      upgrade,
      `continuing with the other processes: ${overdueText(process, read.plan.options.readySeconds)}`,
    );
    return advanced;
  });
}

/** Processes that were passed over and still do not run the previous release. */
export async function listNotReturned(q: Queryable, { fromRelease, progress }: Upgrade): Promise<string[]> {
  if (progress.passedOver.length === 0) return [];
  const [components, all] = [await listComponents(q), await listDesiredProcesses(q)];
  return all
    .filter(({ name, state }) => state === 'running' && progress.passedOver.includes(name))
    .filter((process) => !isAtWork(components, process, fromRelease))
    .map(({ name }) => name);
}
