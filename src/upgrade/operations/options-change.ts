/** An operator changes options of the open upgrade; the coordinator acts by them from its next step on. */
import type { OptionsChange } from '../../api/upgrade-options.ts';
import { accountNameOf } from '../../base/account-name.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Transaction } from '../../database/connection.ts';
import type { Platforms } from '../../platforms/port.ts';
import { chosenCanaries, findCanaries } from '../plan/canaries.ts';
import { changeOptions, choosesCanaries, settledOptions } from '../state/options-change.ts';
import { assertWindows } from '../state/schedule-windows.ts';
import { hasReached } from '../state/upgrade-steps.ts';
import { describePosition, recordUpgradeEvent, replacePlan, type Upgrade } from '../state/upgrade-store.ts';
import { planDestinations } from './added-destinations.ts';
import { lockedUpgrade, type Operator } from './operator-actions.ts';

/**
 * @throws BrambleError ERR_UPGRADE_NONE, ERR_UPGRADE_STATE for what is settled, ERR_UPGRADE_CANARY, ERR_UPGRADE_WINDOW and
 * ERR_UPGRADE_INSTANCE as when planning.
 */
export async function changeByOperator(
  tx: Transaction,
  order: Operator & { change: OptionsChange; platforms: Platforms; host: string },
): Promise<Upgrade> {
  const before = await lockedUpgrade(tx);
  assertChangeable(before, order.change);
  const { addDestinations, ...rest } = order.change;
  const change = rest.canaries === undefined ? rest : { ...rest, canaries: rest.canaries.map(accountNameOf) };
  const upgrade = addDestinations === undefined ? before : await planDestinations(tx, before, addDestinations, order);
  const { options, words } = changeOptions(upgrade.plan.options, change);
  if (words.length === 0) return upgrade;
  assertWindows(options.windows);
  if (choosesCanaries(order.change)) {
    const accounts = await tx<{ name: string }[]>`select name from account`;
    chosenCanaries(accounts, options, await findCanaries(tx, options, order.platforms));
  }
  await replacePlan(tx, upgrade.id, { ...upgrade.plan, options });
  await recordUpgradeEvent(tx, upgrade, `options changed by ${order.by}: ${words.join(', ')}`);
  return await lockedUpgrade(tx);
}

/** A plan whose start the checks stopped can be replaced, one that is being checked cannot. */
function notYetText({ progress }: Upgrade, names: string): string {
  return hasReached(progress.step, 'started')
    ? `The checks are running: change ${names} once they have passed (\`bramble upgrade status\`), or cancel the upgrade with ` +
        '`bramble upgrade reverse` and plan it again.'
    : `The upgrade was not started: to change ${names}, plan it again with --replace (\`replace\` in REST).`;
}

function assertChangeable(upgrade: Upgrade, change: OptionsChange): void {
  const settled = settledOptions(upgrade.pausedFrom ?? upgrade.state, change);
  if (settled.length === 0) return;
  const names = settled.join(', ');
  throw new BrambleError(
    'ERR_UPGRADE_STATE',
    upgrade.state === 'planned'
      ? notYetText(upgrade, names)
      : `${names} can no longer be changed: the upgrade is ${describePosition(upgrade)}.`,
    { details: { state: upgrade.state, pausedFrom: upgrade.pausedFrom, settled } },
  );
}
