/**
 * Reversing: the moves of accounts from new instances to where they were.
 *
 * Invariant: nobody is taken from an instance that serves to one that does not: whose home is not at work stays where it is until
 * that is back, or until an administrator moves it elsewhere.
 */
import type { InstanceId } from '../../base/ids.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import { type AskedMove, createMoveBatch } from '../../moves/batch-store.ts';
import { cancelUpgradeMovesTo, openMovesOf } from '../../moves/move-reports.ts';
import { listComponents } from '../../registry/components.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import type { StepContext } from './step-context.ts';

/** Of one step, which holds the upgrade's row: the next look queues more, long before these have moved. */
const mostQueuedAtOnce = 5_000;

/** A home that is not at work, with the accounts that wait for it. */
interface AbsentHome {
  instanceId: InstanceId;
  name: string;
  accounts: number;
  /** One of the instances that serve them. */
  from: string;
}

/**
 * Queues them, in a batch for each home, at most {@link mostQueuedAtOnce}. `waiting` goes behind what is said of the accounts that are
 * still to move.
 */
export async function queueMovesHome(
  context: Pick<StepContext, 'name'>,
  tx: Transaction,
  upgrade: Upgrade,
  made: readonly NewInstance[],
): Promise<{ queued: number; waiting: string }> {
  const components = await listComponents(tx);
  const atWork = components.filter(({ alive }) => alive).map(({ name }) => name);
  const absent = await listAbsentHomes(tx, upgrade, made, atWork);
  const absentIds = absent.map(({ instanceId }) => instanceId);
  await cancelUpgradeMovesTo(tx, upgrade.id, absentIds);
  let queued = 0;
  const moves = await listMovesHome(tx, upgrade, made, atWork);
  for (const own of Map.groupBy(moves, ({ toInstanceId }) => toInstanceId).values()) {
    const batch = { purpose: 'reverse', createdBy: context.name, upgradeId: upgrade.id, moves: own } as const;
    queued += (await createMoveBatch(tx, batch)).queued;
  }
  return { queued, waiting: waitingText(absent, components, upgrade) };
}

/**
 * The accounts `a` at new instances `n` with their homes `h`: where an account was assigned from; for one created at a new instance, the
 * instance that this one replaces.
 */
const homes = (q: Queryable, upgrade: Upgrade, made: readonly NewInstance[]) => q`
  from unnest(${made.map((row) => row.instanceId)}::uuid[], ${made.map((row) => row.replacesId)}::uuid[],
              ${made.map((row) => row.name)}::text[]) as n(instance_id, replaces_id, name)
    join account a on a.instance_id = n.instance_id
    left join upgrade_assignment s on s.upgrade_id = ${upgrade.id} and s.account_id = a.id
    left join instance w on w.id = s.from_instance_id and w.retired_at is null
    join instance h on h.id = coalesce(w.id, n.replaces_id)`;

async function listAbsentHomes(
  tx: Transaction,
  upgrade: Upgrade,
  made: readonly NewInstance[],
  atWork: readonly string[],
): Promise<AbsentHome[]> {
  return await tx<AbsentHome[]>`
    select h.id as "instanceId", h.name, count(*)::int as accounts, min(n.name) as from
      ${homes(tx, upgrade, made)}
     where h.name <> all(${atWork as string[]}::text[])
     group by h.id, h.name order by h.name`;
}

/** Those that are not queued yet, by name. */
async function listMovesHome(
  tx: Transaction,
  upgrade: Upgrade,
  made: readonly NewInstance[],
  atWork: readonly string[],
): Promise<AskedMove[]> {
  return await tx<AskedMove[]>`
    select a.id as "accountId", h.id as "toInstanceId"
      ${homes(tx, upgrade, made)}
     where h.name = any(${atWork as string[]}::text[]) and ${openMovesOf(tx, tx`a.id`)} = 0
     order by a.name limit ${mostQueuedAtOnce}`;
}

/** `; 3 of them once server-1 on berlin is at work, or …` */
function waitingText(
  absent: readonly AbsentHome[],
  components: Awaited<ReturnType<typeof listComponents>>,
  { fromRelease }: Upgrade,
): string {
  if (absent.length === 0) return '';
  const accounts = absent.reduce((sum, home) => sum + home.accounts, 0);
  const names = absent.map(({ name }) => {
    const host = components.find((each) => each.name === name)?.host;
    return host === undefined ? name : `${name} on ${host}`;
  });
  return (
    `; ${accounts} of them once ${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} at work: they are served where they are. ` +
    `If that is lost: \`bramble move start --from ${absent[0]?.from} --to <another instance of ${fromRelease}>\``
  );
}
