/**
 * Which of an administrator's requested moves the open upgrade would undo: accounts that it has assigned elsewhere, or
 * that would be at an instance which it empties. They are not moved, so that no device is sent everything twice for
 * nothing.
 *
 * Invariant: what the upgrade leaves alone is not held: an account without assignment leaves an instance that nothing takes over
 * from, and one whose wave has not begun goes home and stays there until then.
 */
import type { AccountId } from '../../base/ids.ts';
import type { Queryable } from '../../database/connection.ts';
import type { AskedMove, HeldMove } from '../../moves/batch-store.ts';
import { findInstancesBehind } from '../components/instances-behind.ts';
import type { NewInstance } from '../state/upgrade-plan.ts';
import { upgradeStates } from '../state/upgrade-states.ts';
import { readOpenUpgrade, type Upgrade } from '../state/upgrade-store.ts';
import { listWaves } from '../state/wave-store.ts';
import { moveBackText } from './move-back-text.ts';

/** Of these moves those that the open upgrade would undo. The upgrade is not locked: what it does right now it may still undo. */
export async function listHeldMoves(q: Queryable, moves: readonly AskedMove[]): Promise<HeldMove[]> {
  const upgrade = await readOpenUpgrade(q);
  if (upgrade === undefined) return [];
  const position = upgrade.pausedFrom ?? upgrade.state;
  if (position === 'reversing') return heldByReversing(upgrade, moves);
  if (!upgradeStates.has('onward', position) || upgrade.plan.inPlace) return [];
  return [...(await heldByAssignment(q, upgrade, moves)), ...(await heldByEmptying(q, upgrade, moves))];
}

function heldByReversing({ progress }: Upgrade, moves: readonly AskedMove[]): HeldMove[] {
  const leaving = new Set<string>(progress.newInstances.map(({ instanceId }) => instanceId));
  return moves
    .filter(({ toInstanceId }) => leaving.has(toInstanceId))
    .map(({ accountId }) => ({
      accountId,
      reason: 'upgrade-reverses' as const,
      next:
        'the upgrade is being reversed and moves all accounts back from its new instances: move it when that is ' +
        'done',
    }));
}

interface AssignedMove {
  accountId: AccountId;
  account: string;
  goal: string;
  goalId: string;
  toId: string;
  wave: number;
  waveName: string;
  atGoal: boolean;
}

async function heldByAssignment(q: Queryable, upgrade: Upgrade, moves: readonly AskedMove[]): Promise<HeldMove[]> {
  const rows = await q<AssignedMove[]>`
    select a.id as "accountId", a.name as account, g.name as goal, g.id as "goalId", m.to_id as "toId", w.number as wave,
           w.name as "waveName", a.instance_id = s.to_instance_id as "atGoal"
      from unnest(${moves.map(({ accountId }) => accountId)}::uuid[], ${moves.map(({ toInstanceId }) => toInstanceId)}::uuid[])
             as m(account_id, to_id)
      join account a on a.id = m.account_id
      join upgrade_assignment s on s.account_id = a.id and s.upgrade_id = ${upgrade.id}
      join upgrade_wave w on w.upgrade_id = s.upgrade_id and w.number = s.wave_number
      join instance g on g.id = s.to_instance_id
     where m.to_id <> s.to_instance_id and m.to_id <> a.instance_id
       and not (w.state = 'waiting' and m.to_id = s.from_instance_id)`;
  if (rows.length === 0) return [];
  const laterWave = (await listWaves(q, upgrade.id)).findLast(({ state }) => state === 'waiting')?.number;
  const { newInstances } = upgrade.progress;
  return rows.map(({ accountId, account, goal, goalId, toId, wave, waveName, atGoal }) => {
    const taker = replacementFor(newInstances, toId);
    const goesHome = taker?.instanceId === goalId;
    const assign = `\`bramble account assign ${account} ${taker?.name ?? 'INSTANCE'}\` changes where it goes`;
    const home = moveBackText({ account, goal, home: taker?.replaces ?? 'INSTANCE', laterWave });
    return atGoal
      ? {
          accountId,
          reason: 'assigned-by-upgrade' as const,
          next: `the upgrade has assigned it to ${goal} and would move it back: ${goesHome ? home : assign}`,
        }
      : {
          accountId,
          reason: 'moved-by-upgrade' as const,
          next: `wave ${wave} (${waveName}) moves it to ${goal}${goesHome ? '' : `: ${assign}`}`,
        };
  });
}

/** The new instance that is asked for, or that takes over from the old one that is. */
function replacementFor(newInstances: readonly NewInstance[], instanceId: string): NewInstance | undefined {
  return newInstances.find((made) => made.instanceId === instanceId || made.replacesId === instanceId);
}

/** An account that was made at an instance of the new release has no assignment, and would be given one. */
async function heldByEmptying(q: Queryable, upgrade: Upgrade, moves: readonly AskedMove[]): Promise<HeldMove[]> {
  const { newInstances } = upgrade.progress;
  const behind = (await findInstancesBehind(q, upgrade.toRelease)).map(({ id }) => id);
  const emptied = newInstances.filter(({ replacesId }) => behind.includes(replacesId));
  const asked = moves.filter(({ toInstanceId }) => emptied.some(({ replacesId }) => replacesId === toInstanceId));
  const rows = await q<{ accountId: AccountId; account: string; toId: string }[]>`
    select a.id as "accountId", a.name as account, m.to_id as "toId"
      from unnest(${asked.map(({ accountId }) => accountId)}::uuid[], ${asked.map(({ toInstanceId }) => toInstanceId)}::uuid[])
             as m(account_id, to_id)
      join account a on a.id = m.account_id
     where not (a.instance_id = any(${behind}::uuid[]))
       and not exists (select 1 from upgrade_assignment s where s.account_id = a.id and s.upgrade_id = ${upgrade.id})`;
  return rows.map(({ accountId, account, toId }) => {
    const made = replacementFor(newInstances, toId);
    const says = `the upgrade moves all accounts from ${made?.replaces} to ${made?.name}`;
    const next = `${says}: \`bramble account assign ${account} ${made?.name}\` moves it there`;
    return { accountId, reason: 'moved-by-upgrade' as const, next };
  });
}
