/**
 * The repair after a bad release: after a reversal the old release sends again what devices still have from the new one.
 *
 * Invariants: sending again owes each item of a device once, under the budget, to the instance that serves the account now, and
 * only where that is of the old release: nothing is compiled by the release that is to be repaired, nor handed out any more if it
 * was compiled by that before. Each step is one transaction over so many accounts, under the upgrade's row: it is there as a whole
 * or not at all, and whoever takes it again finds only what is left.
 */
import { counted } from '../../base/counted.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { announceDeliveries, oweDeliveries } from '../../deliveries/owe-deliveries.ts';
import {
  type DeviceItem,
  listToReplace,
  type ReleaseAtWork,
  withdrawQueued,
} from '../../deliveries/release-effects.ts';
import { accountItems } from '../../devices/delivery-items.ts';
import type { Platforms } from '../../platforms/port.ts';
import { listComponents } from '../../registry/components.ts';
import { isAtWork } from '../components/component-readiness.ts';
import { findInstancesBehind } from '../components/instances-behind.ts';
import { lockLatestUpgrade, recordUpgradeEvent, type Upgrade } from '../state/upgrade-store.ts';
import { type Operator, wrongState } from './operator-actions.ts';
import { assertAccounts, assertPlanned, readAtWork } from './release-at-work.ts';

interface SentAgain {
  readonly accounts: number;
  readonly deliveriesOwed: number;
  /** Accounts with anything from the new release that are at instances which do not run the previous one; and these instances. */
  readonly left: { readonly accounts: number; readonly instances: readonly string[] };
  /** The last account that was looked at, if there are more behind it. */
  readonly next: string | null;
}

interface AgainOrder extends Operator {
  /** Default: all. */
  readonly accounts?: readonly string[] | undefined;
  readonly after?: string | undefined;
  /** How many accounts are looked at. */
  readonly limit: number;
}

/**
 * Owes anew, by the present instances of the accounts, what their devices have from the new release; and what waits for them in their
 * queues is withdrawn first, so that nothing more of it reaches them.
 * @throws BrambleError ERR_UPGRADE_NONE, ERR_UPGRADE_STATE unless the upgrade is being reversed or was, ERR_NOT_FOUND.
 */
export async function sendAgain(tx: Transaction, platforms: Platforms, order: AgainOrder): Promise<SentAgain> {
  // Who asks at the same time waits here, and sees what was owed meanwhile.
  const upgrade = assertPlanned(await lockLatestUpgrade(tx));
  if (upgrade.state !== 'reversed' && (upgrade.pausedFrom ?? upgrade.state) !== 'reversing') {
    throw wrongState(upgrade, 'have anything sent again by the previous release; reverse it first');
  }
  if (order.accounts !== undefined) await assertAccounts(tx, order.accounts);
  const atWork = await readAtWork(tx, upgrade);
  if (atWork === undefined) return { accounts: 0, deliveriesOwed: 0, left: { accounts: 0, instances: [] }, next: null };
  const placed = await listPlaced(tx, order);
  const { back, away } = await divideByInstance(tx, upgrade, placed);
  const withdrawn = await withdrawQueued(tx, atWork, back);
  const wanted = [...withdrawn, ...(await listToReplace(tx, atWork, back))];
  const owed = await oweItems(tx, platforms, wanted);
  const accounts = new Set(owed.map(({ accountId }) => accountId)).size;
  if (owed.length > 0) {
    const what = `${counted(owed.length, 'delivery', 'deliveries')} to ${counted(accounts, 'account')}`;
    await recordUpgradeEvent(tx, upgrade, `${order.by} has the previous release send again ${what}`);
    await announceDeliveries(tx);
  }
  const left = await readLeft(tx, atWork, away);
  const next = placed.length === order.limit ? (placed.at(-1)?.name ?? null) : null;
  return { accounts, deliveriesOwed: owed.length, left, next };
}

async function oweItems(tx: Transaction, platforms: Platforms, wanted: readonly DeviceItem[]) {
  const owed: { accountId: string }[] = [];
  for (const item of accountItems) {
    const deviceIds = wanted.filter((each) => each.item === item).map(({ deviceId }) => deviceId);
    owed.push(...(await oweDeliveries(tx, platforms, { deviceIds, cause: 'manual', budgeted: true, items: [item] })));
  }
  return owed;
}

interface PlacedAccount {
  readonly id: string;
  readonly name: string;
  readonly instance: string;
}

/** The accounts of this step, by name. */
async function listPlaced(q: Queryable, { accounts, after = '', limit }: AgainOrder): Promise<PlacedAccount[]> {
  return await q<PlacedAccount[]>`
    select a.id, a.name, i.name as instance from account a join instance i on i.id = a.instance_id
     where a.name > ${after} and ${accounts === undefined ? q`true` : q`a.name = any(${accounts as string[]}::text[])`}
     order by a.name limit ${limit}`;
}

/**
 * Those whose instance runs another release than the new one: they are back, or were never away. One that was replaced in place runs it
 * only once it serves: until then, what is owed might be compiled by the process before it.
 */
async function divideByInstance(
  q: Queryable,
  upgrade: Upgrade,
  placed: readonly PlacedAccount[],
): Promise<{ back: string[]; away: PlacedAccount[] }> {
  const components = await listComponents(q);
  const isBack = ({ name }: { name: string }) => {
    const release = components.find((each) => each.name === name)?.release;
    return (
      release !== undefined && release !== upgrade.toRelease && isAtWork(components, { name, kind: 'server' }, release)
    );
  };
  const old = new Set((await findInstancesBehind(q, upgrade.toRelease)).filter(isBack).map(({ name }) => name));
  return {
    back: placed.filter(({ instance }) => old.has(instance)).map(({ id }) => id),
    away: placed.filter(({ instance }) => !old.has(instance)),
  };
}

async function readLeft(
  q: Queryable,
  atWork: ReleaseAtWork,
  away: readonly PlacedAccount[],
): Promise<SentAgain['left']> {
  const ids = away.map(({ id }) => id);
  const left = new Set((await listToReplace(q, atWork, ids)).map(({ accountId }) => accountId));
  const instances = new Set(away.filter(({ id }) => left.has(id)).map(({ instance }) => instance));
  return { accounts: left.size, instances: [...instances].sort() };
}
