/**
 * An operator's choice of where an account goes in the open upgrade. It is recorded; once the waves are divided, the account's
 * assignment changes, too, and the wave's next step moves it, even if it has moved already.
 *
 * Invariant: every account can be assigned, also one that came after the waves were divided, or to a new instance.
 */
import { accountNameOf } from '../../base/account-name.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Transaction } from '../../database/connection.ts';
import { upgradeStates } from '../state/upgrade-states.ts';
import { mergeProgress, recordUpgradeEvent, type Upgrade } from '../state/upgrade-store.ts';
import { changeAssignment, insertAssignment, isHomeOf } from '../state/wave-accounts.ts';
import { listWaves } from '../state/wave-store.ts';
import { joinLatecomerWave } from '../waves/latecomers.ts';
import { type MoveBack, moveBackText } from '../waves/move-back-text.ts';
import { lockedUpgrade, type Operator, wrongState } from './operator-actions.ts';

interface AssignmentOrder extends Operator {
  account: string;
  instance: string;
  wave?: number;
}

/** @throws BrambleError ERR_NOT_FOUND, ERR_INPUT for an instance or a wave that is none of the upgrade's, ERR_UPGRADE_STATE. */
export async function assignAccount(tx: Transaction, order: AssignmentOrder): Promise<Upgrade> {
  const upgrade = await lockedUpgrade(tx);
  const account = accountNameOf(order.account);
  const [found] = await tx<{ id: string }[]>`select id from account where name = ${account}`;
  if (found === undefined) throw new BrambleError('ERR_NOT_FOUND', `There is no account ${account}.`);
  await assertPlanned(tx, upgrade, account, order.instance);
  const position = upgrade.pausedFrom ?? upgrade.state;
  if (upgradeStates.has('before-waves', position)) {
    if (order.wave !== undefined)
      throw wrongState(upgrade, 'assign accounts to waves: the waves have not been formed yet');
  } else {
    if (!upgradeStates.has('in-waves', position)) throw wrongState(upgrade, 'change assignments');
    await assignInWaves(tx, upgrade, found.id, order);
  }
  // Kept when a destination is added: what is shared out anew is not what somebody has chosen.
  await mergeProgress(tx, upgrade.id, { assignments: { ...upgrade.progress.assignments, [account]: order.instance } });
  await recordUpgradeEvent(tx, upgrade, `${account} is assigned to ${order.instance} by ${order.by}`);
  return upgrade;
}

async function assertPlanned(tx: Transaction, upgrade: Upgrade, account: string, instance: string): Promise<void> {
  // An old one that becomes a destination takes accounts only once it is empty.
  const added = upgrade.plan.instances.filter(({ origin }) => origin !== 'reused');
  const planned = [...added, ...upgrade.progress.newInstances];
  const names = [...new Set(planned.map(({ name }) => name))];
  if (names.includes(instance)) return;
  const known = names.length === 0 ? 'it has none' : names.join(', ');
  const replacement = planned.findLast(({ replaces }) => replaces === instance);
  throw new BrambleError(
    'ERR_INPUT',
    `${instance} is not one of the upgrade’s new instances (${known}), and accounts can be assigned only to these.` +
      (replacement === undefined
        ? ''
        : await moveBackHint(tx, upgrade, { account, goal: replacement.name, home: instance })),
    { details: { field: 'body.instance', known: names } },
  );
}

/** Naming an old instance means that the account goes home, or stays there. */
async function moveBackHint(tx: Transaction, upgrade: Upgrade, moveBack: Omit<MoveBack, 'laterWave'>): Promise<string> {
  const waves = await listWaves(tx, upgrade.id);
  if (waves.length === 0) return '';
  const laterWave = waves.findLast(({ state }) => state === 'waiting')?.number;
  return ` To move it back: ${moveBackText({ ...moveBack, laterWave })}.`;
}

/** An emptied instance that takes the accounts of others has to be empty again for reversing: those that left it stay away. */
function homeNow(account: string, instance: string): BrambleError {
  return new BrambleError(
    'ERR_INPUT',
    `${account} came from ${instance}, which was emptied and takes the accounts of another instance now. Assign it to a new one.`,
    { details: { field: 'body.instance' } },
  );
}

async function assignInWaves(tx: Transaction, upgrade: Upgrade, accountId: string, order: AssignmentOrder) {
  const goal = upgrade.progress.newInstances.find(({ name }) => name === order.instance);
  if (goal === undefined) {
    throw new BrambleError(
      'ERR_UPGRADE_STATE',
      `${order.instance} is planned but has not been added yet. Try again once \`bramble instance list\` shows it.`,
      { details: { state: upgrade.state } },
    );
  }
  await joinLatecomerWave(tx, upgrade);
  const numbers = (await listWaves(tx, upgrade.id)).map(({ number }) => number);
  if (order.wave !== undefined && !numbers.includes(order.wave)) {
    throw new BrambleError('ERR_INPUT', `There is no wave ${order.wave}. The waves are: ${numbers.join(', ')}.`, {
      details: { field: 'body.wave', known: numbers },
    });
  }
  if (await isHomeOf(tx, upgrade.id, accountId, goal.instanceId)) throw homeNow(order.account, goal.name);
  const change = { accountId, toInstanceId: goal.instanceId };
  const changed = await changeAssignment(tx, upgrade.id, {
    ...change,
    ...(order.wave === undefined ? {} : { waveNumber: order.wave }),
  });
  if (changed === 'changed') return;
  // It came after the waves were divided. Home is an instance of the old release, also for one that was made at a new one.
  await insertAssignment(tx, upgrade.id, {
    ...change,
    waveNumber: order.wave ?? numbers.at(-1) ?? 1,
    homes: upgrade.progress.newInstances.map(({ instanceId, replacesId }) => ({ instanceId, homeId: replacesId })),
  });
}
