/**
 * An instance that an administrator adds while an upgrade is open, after the release fence: it runs the new release, so it is a
 * destination for accounts that are assigned to it.
 *
 * Invariant: reversing leaves it, without accounts and in the previous release; none stays at the new one.
 */
import { BrambleError } from '../../base/errors.ts';
import type { Transaction } from '../../database/connection.ts';
import { readDomain } from '../../domain/domain.ts';
import { findInstancesBehind } from '../components/instances-behind.ts';
import { upgradeStates } from '../state/upgrade-states.ts';
import {
  describePosition,
  lockOpenUpgrade,
  mergeProgress,
  recordUpgradeEvent,
  type Upgrade,
} from '../state/upgrade-store.ts';

/**
 * The open upgrade that the instance would join, locked; undefined if it would not.
 * @throws BrambleError ERR_UPGRADE_STATE while all that is new is given back
 */
export async function upgradeToJoin(tx: Transaction): Promise<Upgrade | undefined> {
  const upgrade = await lockOpenUpgrade(tx);
  if (upgrade === undefined || upgrade.plan.inPlace) return undefined;
  if ((await readDomain(tx)).release !== upgrade.toRelease) return undefined;
  const position = upgrade.pausedFrom ?? upgrade.state;
  if (position === 'reversing') {
    throw new BrambleError(
      'ERR_UPGRADE_STATE',
      `The upgrade is ${describePosition(upgrade)}, and an instance that is added now would be of ${upgrade.toRelease}. Add it when ` +
        'the upgrade is reversed: `bramble upgrade status`.',
    );
  }
  return upgradeStates.has('before-waves', position) || upgradeStates.has('in-waves', position) ? upgrade : undefined;
}

/** Its accounts go to an instance of the previous release when the upgrade is reversed. */
export async function joinUpgrade(
  tx: Transaction,
  upgrade: Upgrade,
  { id, name, srpIdentifier }: { id: string; name: string; srpIdentifier: string },
): Promise<void> {
  const behind = await findInstancesBehind(tx, upgrade.toRelease);
  const home =
    behind.find(({ name: old }) => upgrade.plan.instances.some(({ replaces }) => replaces === old)) ?? behind[0];
  if (home === undefined) return;
  const joined = {
    ...{ name, instanceId: id, replaces: home.name, replacesId: home.id, origin: 'by-hand' as const },
    ...{ processes: [name], srpIdentifiers: [srpIdentifier], connectionServices: [] },
  };
  await mergeProgress(tx, upgrade.id, { newInstances: [...upgrade.progress.newInstances, joined] });
  const message = `instance ${name} was added by hand: accounts can be assigned to it`;
  await recordUpgradeEvent(tx, upgrade, message, { instanceId: id, release: upgrade.toRelease });
}
