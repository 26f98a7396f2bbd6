/** An operator adds destinations for the accounts of an old instance; the coordinator makes them from its next step on. */
import type { DestinationWish } from '../../api/upgrade-options.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Transaction } from '../../database/connection.ts';
import { assertUsableHosts, hostsForInstances } from '../components/usable-hosts.ts';
import { readInstanceFacts } from '../plan/plan-facts.ts';
import { assertInstanceOptions, planInstances, wishesFor } from '../plan/planned-instances.ts';
import { recordUpgradeEvent, replacePlan, type Upgrade } from '../state/upgrade-store.ts';
import { coordinatorName, lockedUpgrade, type Operator } from './operator-actions.ts';

const maxDestinations = 20;

/**
 * The upgrade with the destinations in its plan.
 * @throws BrambleError ERR_UPGRADE_INSTANCE for an instance that no other takes over from, a name that is taken, a host that cannot be
 * used, or too many; ERR_UPGRADE_IN_PLACE where no account moves.
 */
export async function planDestinations(
  tx: Transaction,
  upgrade: Upgrade,
  added: Readonly<Record<string, readonly DestinationWish[]>>,
  { by, host }: Operator & { host: string },
): Promise<Upgrade> {
  const { plan, toRelease } = upgrade;
  if (plan.inPlace) {
    throw new BrambleError(
      'ERR_UPGRADE_IN_PLACE',
      'This upgrade replaces instances in place: no account moves to another.',
    );
  }
  const facts = await readInstanceFacts(tx, host);
  const replaced = [...new Set(plan.instances.map(({ replaces }) => replaces))];
  const unknown = Object.keys(added).filter((name) => !replaced.includes(name));
  if (unknown.length > 0)
    throw refused(`No instance takes over from ${unknown.join(', ')}, but from: ${replaced.join(', ')}.`);
  const takenNames = [
    ...facts.takenNames,
    ...plan.instances.flatMap(({ name, connectionServices }) => [
      name,
      ...connectionServices.map((service) => service.name),
    ]),
  ];
  const wishes = Object.fromEntries(
    Object.entries(added).map(([name, destinations]) => [name, { destinations: [...destinations] }]),
  );
  assertInstanceOptions({ ...facts, takenNames }, { instances: wishes });
  const instances = facts.instances.filter(({ name }) => Object.hasOwn(added, name));
  const planned = planInstances({ instances, takenNames, target: { release: toRelease } }, { instances: wishes });
  assertUsableHosts(
    planned.map((one) => one.host),
    await hostsForInstances(tx, coordinatorName, host),
  );
  const wished = { ...plan.options.instances };
  for (const [name, destinations] of Object.entries(added)) {
    const all = [...wishesFor(plan.options, name), ...destinations];
    if (all.length > maxDestinations)
      throw refused(`${name} would have ${all.length} destinations, and may have ${maxDestinations}.`);
    wished[name] = { destinations: all };
  }
  await replacePlan(tx, upgrade.id, {
    ...plan,
    options: { ...plan.options, instances: wished },
    instances: [...plan.instances, ...planned],
  });
  const what = planned.map((one) => `${one.name} on ${one.host} for ${one.replaces}`).join(', ');
  await recordUpgradeEvent(tx, upgrade, `destinations added by ${by}: ${what}`);
  return await lockedUpgrade(tx);
}

function refused(what: string): BrambleError {
  return new BrambleError('ERR_UPGRADE_INSTANCE', what);
}
