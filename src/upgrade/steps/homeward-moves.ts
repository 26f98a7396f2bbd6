/**
 * Reversing: the moves of accounts from new instances to where they were.
 *
 * Invariant: nobody is taken from an instance that serves to one that does not: whose home is not at work stays where it is until
 * that is back, or until an administrator moves it elsewhere.
 */
import type { AccountId, InstanceId } from '../../base/ids.ts';
import type { Transaction } from '../../database/connection.ts';
import { createMoveBatch } from '../../moves/batch-store.ts';
import { cancelUpgradeMovesTo, openMovesOf } from '../../moves/move-reports.ts';
import { listComponents } from '../../registry/components.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import type { StepContext } from './step-context.ts';

interface HomewardMove {
  accountId: AccountId;
  from: string;
  toInstanceId: InstanceId;
  home: string;
}

/**
 * Queues them, in a batch for each home. `waiting` goes behind what is said of the accounts that are still to move.
 */
export async function queueMovesHome(
  context: StepContext,
  tx: Transaction,
  upgrade: Upgrade,
  made: readonly NewInstance[],
): Promise<{ queued: number; waiting: string }> {
  const components = await listComponents(tx);
  const isAtWork = (name: string) => components.some((each) => each.name === name && each.alive);
  const moves = await listMovesHome(tx, upgrade, made);
  const absent = moves.filter(({ home }) => !isAtWork(home));
  // Those that are queued already: with a move open they are not among the others.
  await cancelUpgradeMovesTo(tx, upgrade.id, [...new Set(absent.map(({ toInstanceId }) => toInstanceId))]);
  let queued = 0;
  const homes = Map.groupBy(
    moves.filter((move) => !absent.includes(move) && !move.isQueued),
    ({ toInstanceId }) => toInstanceId,
  );
  for (const own of homes.values()) {
    const batch = { purpose: 'reverse', createdBy: context.name, upgradeId: upgrade.id, moves: own } as const;
    queued += (await createMoveBatch(tx, batch)).queued;
  }
  return { queued, waiting: waitingText(absent, components, upgrade) };
}

/**
 * Home is where an account was assigned from; for one created at a new instance, the instance that this one replaces.
 */
async function listMovesHome(
  tx: Transaction,
  upgrade: Upgrade,
  made: readonly NewInstance[],
): Promise<(HomewardMove & { isQueued: boolean })[]> {
  return await tx<(HomewardMove & { isQueued: boolean })[]>`
    select a.id as "accountId", n.name as from, h.id as "toInstanceId", h.name as home, ${openMovesOf(tx, tx`a.id`)} > 0 as "isQueued"
      from unnest(${made.map((row) => row.instanceId)}::uuid[], ${made.map((row) => row.replacesId)}::uuid[],
                  ${made.map((row) => row.name)}::text[]) as n(instance_id, replaces_id, name)
      join account a on a.instance_id = n.instance_id
      left join upgrade_assignment s on s.upgrade_id = ${upgrade.id} and s.account_id = a.id
      left join instance w on w.id = s.from_instance_id and w.retired_at is null
      join instance h on h.id = coalesce(w.id, n.replaces_id)
     order by a.name`;
}

/** `; 3 of them once server-1 on berlin is at work, or …` */
function waitingText(
  absent: readonly HomewardMove[],
  components: Awaited<ReturnType<typeof listComponents>>,
  { fromRelease }: Upgrade,
): string {
  if (absent.length === 0) return '';
  const homes = [...new Set(absent.map(({ home }) => home))].map((home) => {
    const host = components.find(({ name }) => name === home)?.host;
    return host === undefined ? home : `${home} on ${host}`;
  });
  return (
    `; ${absent.length} of them once ${homes.join(', ')} ${homes.length === 1 ? 'is' : 'are'} at work: they are served where they are. ` +
    `If that is lost: \`bramble move start --from ${absent[0]?.from} --to <another instance of ${fromRelease}>\``
  );
}
