/**
 * The routers of the new release start before the first account is moved, because they observe the outcome of its
 * requests; and they are the first to go when the upgrade is reversed.
 *
 * Invariant: one router at a time, and the next only once the previous one is at work: the supervisor starts the
 * successor on the same sockets before the replaced one drains. A new router speaks the old version of the link to old
 * instances.
 */
import { type Component, listComponents } from '../../registry/components.ts';
import { changeDesiredProcesses, type DesiredProcess, listDesiredProcesses } from '../../registry/desired-processes.ts';
import { nextToReplace } from '../components/next-to-replace.ts';
import { recordUpgradeEvent, type Upgrade } from '../state/upgrade-store.ts';
import { advanced, type StepContext, type StepOutcome, stepTransaction, waitingFor } from './step-context.ts';

/** Undefined once all desired routers run the new release. */
export async function replaceRouters(context: StepContext, upgrade: Upgrade): Promise<StepOutcome | undefined> {
  const routers = (await listDesiredProcesses(context.db)).filter(({ kind }) => kind === 'router');
  const next = nextToReplace(routers, await listComponents(context.db), upgrade.toRelease);
  if (next.kind === 'none') return undefined;
  if (next.kind === 'wait') {
    const awaited = routers
      .filter(({ name }) => next.names.includes(name))
      .map(({ name, host }) => `${name} on ${host}`);
    return waitingFor(
      `routers of ${upgrade.toRelease}: ${awaited.join(', ')}; those of ${upgrade.fromRelease} serve until then`,
    );
  }
  return await runRouters(context, upgrade, next.names, upgrade.toRelease);
}

/** Undefined once no router is to run the new release, and none at work still does. */
export async function restoreRouters(context: StepContext, upgrade: Upgrade): Promise<StepOutcome | undefined> {
  const routers = (await listDesiredProcesses(context.db)).filter(({ kind }) => kind === 'router');
  const onTheWay = stillAt(routers, await listComponents(context.db), upgrade);
  if (onTheWay.length > 0) return waitingFor(`routers of ${upgrade.fromRelease}: ${onTheWay.join(', ')}`);
  const next = routers.find(({ release }) => release === upgrade.toRelease);
  return next === undefined ? undefined : await runRouters(context, upgrade, [next.name], upgrade.fromRelease);
}

/** Routers that are to run the old release again, and still run the new one. Nothing waits for an absent one. */
function stillAt(routers: readonly DesiredProcess[], components: readonly Component[], upgrade: Upgrade): string[] {
  const alive = components.filter(({ alive, release }) => alive && release === upgrade.toRelease);
  return routers
    .filter(
      ({ name, release, state }) => state === 'running' && release !== upgrade.toRelease && names(alive).has(name),
    )
    .map(({ name }) => name);
}

function names(components: readonly Component[]): Set<string> {
  return new Set(components.map(({ name }) => name));
}

async function runRouters(
  context: StepContext,
  read: Upgrade,
  routers: readonly string[],
  release: string,
): Promise<StepOutcome> {
  return await stepTransaction(context, 'replace-routers', read, async (tx, upgrade) => {
    await changeDesiredProcesses(tx, routers, { release });
    await recordUpgradeEvent(tx, upgrade, `switching to ${release}: ${routers.join(', ')}`);
    return advanced;
  });
}
