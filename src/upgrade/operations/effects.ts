/**
 * What the new release of the last upgrade sent and wrote while it was at work, by account, and its repair: after a reversal the
 * old release sends again what devices still have from the new one.
 *
 * Invariant: sending again owes each item of a device once, under the budget, to the instance that serves the account now, and
 * only where that is of the old release: nothing is compiled by the release that is to be repaired, nor handed out any more if it
 * was compiled by that before.
 */
import { countRequests } from '../../access/audit/request-counts.ts';
import type { EffectCounts, UpgradeEffects } from '../../api/upgrade-effects.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { announceDeliveries, oweDeliveries } from '../../deliveries/owe-deliveries.ts';
import {
  countSent,
  type DeviceItem,
  listToReplace,
  type ReleaseAtWork,
  withdrawQueued,
} from '../../deliveries/release-effects.ts';
import { accountItems } from '../../devices/delivery-items.ts';
import { countMovesBetween } from '../../moves/move-reports.ts';
import type { Platforms } from '../../platforms/port.ts';
import { listComponents } from '../../registry/components.ts';
import { isAtWork } from '../components/component-readiness.ts';
import { listInstancesBehind } from '../components/instances-behind.ts';
import {
  listUpgradeEvents,
  readLatestUpgrade,
  recordUpgradeEvent,
  type Upgrade,
  type UpgradeEvent,
} from '../state/upgrade-store.ts';
import { type Operator, wrongState } from './operator-actions.ts';

const noCounts: EffectCounts = {
  ...{ handedOut: 0, itPolicies: 0, serviceBooks: 0, synchronizations: 0, identities: 0, done: 0, failed: 0, open: 0 },
  ...{ commands: 0, moves: 0, changes: 0, onDevices: 0, sendingAgain: 0 },
};

interface EffectsPage {
  readonly account?: string | undefined;
  readonly after?: string | undefined;
  readonly limit: number;
}

/** @throws BrambleError ERR_UPGRADE_NONE, ERR_NOT_FOUND for an account that there is not. */
export async function readEffects(q: Queryable, page: EffectsPage): Promise<UpgradeEffects> {
  const upgrade = await latestUpgrade(q);
  const atWork = await readAtWork(q, upgrade);
  const { id, fromRelease: from, toRelease: to, state } = upgrade;
  const about = { id, release: { from, to }, state, since: atWork?.since ?? null, until: upgrade.finishedAt };
  const { total, accounts } = atWork === undefined ? { total: noCounts, accounts: [] } : await readCounts(q, atWork);
  if (page.account !== undefined) await assertAccounts(q, [page.account]);
  const { account: only, after = '' } = page;
  const behind = accounts.filter(({ account }) => (only === undefined ? account > after : account === only));
  const shown = behind.slice(0, page.limit);
  return {
    ...about,
    total,
    accounts: shown,
    next: behind.length > shown.length ? (shown.at(-1)?.account ?? null) : null,
  };
}

interface SentAgain {
  readonly accounts: number;
  readonly deliveriesOwed: number;
  /** Accounts with anything from the new release that are at instances which do not run the previous one; and these instances. */
  readonly left: { readonly accounts: number; readonly instances: readonly string[] };
}

/**
 * Owes anew, by the present instances of the accounts, what their devices have from the new release, by default of all accounts;
 * and what waits for them in their queues is withdrawn first, so that nothing more of it reaches them.
 * @throws BrambleError ERR_UPGRADE_NONE, ERR_UPGRADE_STATE unless the upgrade is being reversed or was, ERR_NOT_FOUND.
 */
export async function sendAgain(
  tx: Transaction,
  platforms: Platforms,
  { by, accounts: names }: Operator & { accounts?: readonly string[] | undefined },
): Promise<SentAgain> {
  const upgrade = await latestUpgrade(tx);
  if (upgrade.state !== 'reversed' && (upgrade.pausedFrom ?? upgrade.state) !== 'reversing') {
    throw wrongState(upgrade, 'have anything sent again by the previous release; reverse it first');
  }
  const ids = names === undefined ? undefined : await assertAccounts(tx, names);
  const atWork = await readAtWork(tx, upgrade);
  if (atWork === undefined) return { accounts: 0, deliveriesOwed: 0, left: { accounts: 0, instances: [] } };
  const { back, away } = await divideByInstance(tx, upgrade, ids);
  const withdrawn = await withdrawQueued(tx, atWork, back);
  const wanted = [...withdrawn, ...(await listToReplace(tx, atWork, back))];
  const owed = await oweItems(tx, platforms, wanted);
  const accounts = new Set(owed.map(({ accountId }) => accountId)).size;
  if (owed.length > 0) {
    const what = `${counted(owed.length, 'delivery', 'deliveries')} to ${counted(accounts, 'account')}`;
    await recordUpgradeEvent(tx, upgrade, `${by} has the previous release send again ${what}`);
    await announceDeliveries(tx);
  }
  return { accounts, deliveriesOwed: owed.length, left: await readLeft(tx, atWork, away) };
}

async function oweItems(tx: Transaction, platforms: Platforms, wanted: readonly DeviceItem[]) {
  const owed: { accountId: string }[] = [];
  for (const item of accountItems) {
    const deviceIds = wanted.filter((each) => each.item === item).map(({ deviceId }) => deviceId);
    owed.push(...(await oweDeliveries(tx, platforms, { deviceIds, cause: 'manual', budgeted: true, items: [item] })));
  }
  return owed;
}

async function latestUpgrade(q: Queryable): Promise<Upgrade> {
  const upgrade = await readLatestUpgrade(q);
  if (upgrade !== undefined) return upgrade;
  throw new BrambleError('ERR_UPGRADE_NONE', 'No upgrade has been planned yet, so there are no effects of one.');
}

/** Undefined if the domain never was the new release's. */
async function readAtWork(q: Queryable, upgrade: Upgrade): Promise<ReleaseAtWork | undefined> {
  const events = await listUpgradeEvents(q, upgrade.id);
  const fenced = events.find(({ state }) => state === 'admin-fenced');
  if (fenced === undefined) return undefined;
  const { newInstances, replacements } = upgrade.progress;
  const until = upgrade.finishedAt;
  const added = newInstances.filter(({ origin }) => origin === 'added');
  return {
    ...{ release: upgrade.toRelease, since: fenced.at, until },
    instances: [
      ...added.map(({ instanceId: id }) => ({ id, from: fenced.at, until })),
      ...replacements.flatMap(({ instanceId: id, beganAt }) =>
        beganAt === undefined ? [] : [{ id, from: new Date(beganAt), until }],
      ),
      ...reusedInstances(events, upgrade),
    ],
  };
}

/** Emptied instances that became destinations, by the log: while reversing they leave the list of new ones. */
function reusedInstances(
  events: readonly UpgradeEvent[],
  { toRelease, finishedAt }: Pick<Upgrade, 'toRelease' | 'finishedAt'>,
): ReleaseAtWork['instances'][number][] {
  const changes = events.flatMap(({ at, detail: { instanceId: id, release } }) =>
    typeof id === 'string' && typeof release === 'string' ? [{ at, id, release }] : [],
  );
  return changes.flatMap(({ at, id, release }, index) => {
    if (release !== toRelease) return [];
    const back = changes.slice(index + 1).find((change) => change.id === id);
    return [{ id, from: at, until: back?.at ?? finishedAt }];
  });
}

async function readCounts(q: Queryable, atWork: ReleaseAtWork): Promise<Pick<UpgradeEffects, 'total' | 'accounts'>> {
  const { since, until } = atWork;
  const [sent, moves, requests] = await Promise.all([
    countSent(q, atWork),
    countMovesBetween(q, since, until),
    countRequests(q, since, until),
  ]);
  const byId = new Map(sent.map(({ accountId, ...counts }) => [accountId, { ...noCounts, ...counts }]));
  for (const { accountId, moves: count } of moves) {
    byId.set(accountId, { ...(byId.get(accountId) ?? noCounts), moves: count });
  }
  const named = await q<{ id: string; account: string; instance: string }[]>`
    select a.id, a.name as account, i.name as instance from account a join instance i on i.id = a.instance_id
     where a.id = any(${[...byId.keys()]}::uuid[]) or a.name = any(${[...requests.byAccount.keys()]}::text[])`;
  const accounts = named
    .map(({ id, account, instance }) => {
      return { account, instance, ...(byId.get(id) ?? noCounts), changes: requests.byAccount.get(account) ?? 0 };
    })
    .sort((one, other) => (one.account < other.account ? -1 : 1));
  const sum = [...byId.values()].reduce((all, counts) => added(all, counts), noCounts);
  return { total: { ...sum, changes: requests.total }, accounts };
}

function added(one: EffectCounts, other: EffectCounts): EffectCounts {
  const keys = Object.keys(one) as (keyof EffectCounts)[];
  return Object.fromEntries(keys.map((key) => [key, one[key] + other[key]])) as EffectCounts;
}

interface PlacedAccount {
  readonly id: string;
  readonly instance: string;
}

/**
 * The accounts, of these or of all, whose instance runs another release than the new one: they are back, or were never away. One
 * that was replaced in place runs it only once it serves: until then, what is owed might be compiled by the process before it.
 */
async function divideByInstance(
  q: Queryable,
  upgrade: Upgrade,
  ids: readonly string[] | undefined,
): Promise<{ back: string[]; away: PlacedAccount[] }> {
  const components = await listComponents(q);
  const isBack = ({ name }: { name: string }) => {
    const release = components.find((each) => each.name === name)?.release;
    return (
      release !== undefined && release !== upgrade.toRelease && isAtWork(components, { name, kind: 'server' }, release)
    );
  };
  const old = (await listInstancesBehind(q, upgrade.toRelease)).filter(isBack).map(({ name }) => name);
  const placed = await q<PlacedAccount[]>`
    select a.id, i.name as instance from account a join instance i on i.id = a.instance_id
     where ${ids === undefined ? q`true` : q`a.id = any(${ids as string[]}::uuid[])`}`;
  return {
    back: placed.filter(({ instance }) => old.includes(instance)).map(({ id }) => id),
    away: placed.filter(({ instance }) => !old.includes(instance)),
  };
}

async function readLeft(
  q: Queryable,
  atWork: ReleaseAtWork,
  away: readonly PlacedAccount[],
): Promise<SentAgain['left']> {
  const left = new Set(
    (
      await listToReplace(
        q,
        atWork,
        away.map(({ id }) => id),
      )
    ).map(({ accountId }) => accountId),
  );
  const instances = new Set(away.filter(({ id }) => left.has(id)).map(({ instance }) => instance));
  return { accounts: left.size, instances: [...instances].sort() };
}

/** Their ids. @throws BrambleError ERR_NOT_FOUND */
async function assertAccounts(q: Queryable, names: readonly string[]): Promise<string[]> {
  const rows = await q<{ id: string; name: string }[]>`
    select id, name from account where name = any(${names as string[]}::text[])`;
  const known = new Set(rows.map(({ name }) => name));
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length === 0) return rows.map(({ id }) => id);
  throw new BrambleError('ERR_NOT_FOUND', `There is no account named ${unknown.slice(0, 10).join(', ')}.`);
}
