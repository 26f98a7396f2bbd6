/**
 * Accounts added after the waves were divided: created at an old instance, or at one that joined since. They follow
 * with the last wave.
 *
 * Invariant: a new instance takes accounts in a wave whose gate judges it, before others follow without one.
 */
import type { InstanceId, UpgradeId } from '../../base/ids.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { createMoveBatch } from '../../moves/batch-store.ts';
import { listComponents } from '../../registry/components.ts';
import { missingOf } from '../components/component-readiness.ts';
import { findInstancesBehind } from '../components/instances-behind.ts';
import { createShares } from '../state/shares.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import { mergeProgress, recordUpgradeEvent, type Upgrade } from '../state/upgrade-store.ts';
import {
  closeOutOfReachElsewhere,
  countAssigned,
  insertAssignments,
  listLatecomers,
  listUnmoved,
  readWaveMoves,
  type UnmovedAccount,
} from '../state/wave-accounts.ts';
import { insertWaves, listWaves, setWaveState } from '../state/wave-store.ts';

/**
 * The wave for accounts whose new instance no wave has had. `last-wave` while the upgrade is finalized: nothing can go back
 * any more, so a gate would not help.
 */
type LatecomerWave = 'own-wave' | 'last-wave';

/** Accounts that one event names. */
const maxNamesShown = 20;

/** In a domain that had no account: a wave without a gate, for accounts that an operator assigns or that come later. */
export async function joinLatecomerWave(tx: Transaction, upgrade: Upgrade): Promise<void> {
  if ((await listWaves(tx, upgrade.id)).length > 0) return;
  await insertWaves(tx, upgrade.id, [{ number: 1, name: 'latecomers' }]);
  await setWaveState(tx, upgrade.id, 1, 'running');
  await setWaveState(tx, upgrade.id, 1, 'passed');
}

/**
 * Adds accounts at old instances that are in no wave to the last one, once their new instance is ready. If that wave has
 * begun, those whose new instance has taken no accounts yet get a wave of their own, which waits to begin.
 */
export async function joinLatecomers(tx: Transaction, upgrade: Upgrade, goTo: LatecomerWave): Promise<void> {
  const components = await listComponents(tx);
  const ready = upgrade.progress.newInstances.filter(
    (made) => made.origin !== 'by-hand' && missingOf([made], components, upgrade.toRelease) === undefined,
  );
  if (goTo === 'last-wave') await joinLatecomerWave(tx, upgrade);
  const listed = await listWaves(tx, upgrade.id);
  const last = listed.at(-1) ?? { number: 0, state: 'passed' };
  // Where emptied instances become destinations, a wave may wait until the latecomer's own instance is empty.
  const mustLeave = upgrade.plan.options.reuseInstances === true && goTo === 'own-wave';
  const number = last.number + 1;
  const waveOf = ({ wave }: NewInstance) => {
    if (wave !== undefined && mustLeave) return wave;
    return wave !== undefined || last.state === 'waiting' || goTo === 'last-wave' ? last.number : number;
  };
  const begun = listed.findLast(({ state }) => state !== 'waiting')?.number ?? 0;
  const late = await shareLatecomers(tx, upgrade, mustLeave ? takersByNow(ready, begun) : ready);
  if (late.length === 0) return;
  const waves = new Map(late.map(({ goal }) => [goal, waveOf(goal)]));
  const joining = [...waves].filter(([, wave]) => wave === number).map(([{ replaces }]) => replaces);
  if (joining.length > 0) await insertWaves(tx, upgrade.id, [{ number, name: [...new Set(joining)].join(', ') }]);
  await insertAssignments(
    tx,
    upgrade.id,
    late.map(({ account, goal }) => ({
      ...account,
      waveNumber: waveOf(goal),
      toInstanceId: goal.instanceId as InstanceId,
    })),
  );
  const newInstances = upgrade.progress.newInstances.map((made) => ({ ...made, wave: made.wave ?? waves.get(made) }));
  await mergeProgress(tx, upgrade.id, { newInstances });
}

/** Of the instances that take over from the same one: those of waves that have begun, or else of the first. */
function takersByNow(takers: readonly NewInstance[], begun: number): NewInstance[] {
  return [...Map.groupBy(takers, ({ replacesId }) => replacesId).values()].flatMap((made) => {
    const until = Math.max(begun, Math.min(...made.map(({ wave }) => wave ?? Number.POSITIVE_INFINITY)));
    const some = made.filter(({ wave }) => wave !== undefined && wave <= until);
    return some.length > 0 ? some : made;
  });
}

/** Each with one of the instances that take over from its own, by their shares of all accounts so far. */
async function shareLatecomers(tx: Transaction, { id }: Upgrade, takers: readonly NewInstance[]) {
  const byReplaced = Map.groupBy(takers, ({ replacesId }) => replacesId);
  const late = await listLatecomers(tx, id, [...byReplaced.keys()]);
  const shares = createShares(late.length === 0 ? new Map() : await countAssigned(tx, id));
  return late.flatMap((account) => {
    const goal = shares.next(byReplaced.get(account.fromInstanceId) ?? []);
    return goal === undefined ? [] : { account, goal };
  });
}

/** Accounts that are not where they are to go, or at an earlier release, whether a wave has them or not. */
export async function countStragglers(q: Queryable, upgrade: Upgrade): Promise<number> {
  const behind = (await findInstancesBehind(q, upgrade.toRelease)).map(({ id }) => id);
  const [row] = await q<{ count: number }[]>`
    select count(*)::int as count
      from account a left join upgrade_assignment s on s.account_id = a.id and s.upgrade_id = ${upgrade.id}
     where a.instance_id <> s.to_instance_id or a.instance_id = any(${behind}::uuid[])`;
  return row?.count ?? 0;
}

/** Of all waves: whose last move failed since the wave began, or was resumed. */
export async function countFailedMoves(q: Queryable, id: UpgradeId): Promise<number> {
  let failed = 0;
  for (const { number } of await listWaves(q, id)) failed += (await readWaveMoves(q, id, number)).failed;
  return failed;
}

/**
 * Queues a move for every account of the waves up to `wave` that needs one and has none open; returns how many. Whom an
 * administrator had moved away is put back, and the log says so.
 */
export async function queueMoves(tx: Transaction, upgrade: Upgrade, wave: number, createdBy: string): Promise<number> {
  await closeOutOfReachElsewhere(tx, upgrade.id, wave);
  const unmoved = await listUnmoved(tx, upgrade.id, wave);
  if (unmoved.length === 0) return 0;
  const batch = await createMoveBatch(tx, {
    ...{ purpose: 'wave' as const, createdBy, upgradeId: upgrade.id, waveNumber: wave, moves: unmoved },
  });
  const displaced = unmoved.flatMap((account) => account.displaced ?? []);
  if (displaced.length > 0) await recordUpgradeEvent(tx, upgrade, displacedText(displaced));
  return batch.queued;
}

function displacedText(displaced: readonly NonNullable<UnmovedAccount['displaced']>[]): string {
  const some = displaced.slice(0, maxNamesShown).map(({ account, at, by }) => `${account} (to ${at}, by ${by})`);
  const more = displaced.length > some.length ? ` and ${displaced.length - some.length} more` : '';
  return `moved by hand, and moved back to their assigned instances: ${some.join(', ')}${more}`;
}

/** Gives every account that is not at a new instance a place in a wave, and a move where that wave has begun. */
export async function moveStragglers(
  tx: Transaction,
  upgrade: Upgrade,
  createdBy: string,
  goTo: LatecomerWave,
): Promise<void> {
  await joinLatecomers(tx, upgrade, goTo);
  const begun = (await listWaves(tx, upgrade.id)).findLast(({ state }) => state !== 'waiting');
  if (begun !== undefined) await queueMoves(tx, upgrade, begun.number, createdBy);
}
