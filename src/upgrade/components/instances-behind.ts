/**
 * Which instances are of an earlier release, and which accounts are still there: counted from the accounts' rows,
 * whatever a plan says.
 */
import type { Queryable, SqlFragment, Transaction } from '../../database/connection.ts';
import { lockInstances } from '../../instances/instance-locks.ts';

interface InstanceBehind {
  id: string;
  name: string;
}

export interface PlacedInstance extends InstanceBehind {
  accounts: number;
}

/**
 * Instances that were not retired and are not of this release. The release is the one desired for the process; if none is
 * desired, the one it registered with.
 */
export async function findInstancesBehind(q: Queryable, release: string): Promise<InstanceBehind[]> {
  return await q<InstanceBehind[]>`select i.id, i.name ${instancesBehind(q, release)}`;
}

/** The same with their accounts, which are counted: for who needs the numbers. */
export async function listInstancesBehind(q: Queryable, release: string): Promise<PlacedInstance[]> {
  return await q<PlacedInstance[]>`
    select i.id, i.name, (select count(*)::int from account a where a.instance_id = i.id) as accounts
      ${instancesBehind(q, release)}`;
}

function instancesBehind(q: Queryable, release: string): SqlFragment {
  return q`
      from instance i
      cross join lateral (
        select coalesce((select d.release from desired_process d where d.name = i.name and d.kind = 'server'),
                        (select c.release from component c where c.name = i.name and c.kind = 'server')) as release) r
     where i.retired_at is null and r.release is distinct from ${release}
     order by i.name`;
}

/** `server-3 (2), server-4 (1)`. */
export function occupiedText(instances: readonly PlacedInstance[]): string {
  return instances.map(({ name, accounts }) => `${name} (${accounts})`).join(', ');
}

/**
 * Which of these instances have accounts, locked so that none comes to them before the transaction ends: an account that is
 * being created or moved here holds the row FOR KEY SHARE until it can be seen, so it is counted in the next statement.
 */
export async function lockOccupied(tx: Transaction, names: readonly string[]): Promise<string[]> {
  const locked = await lockInstances(tx, names);
  const rows = await tx<{ name: string }[]>`
    select i.name from instance i
     where i.id = any(${locked}::uuid[]) and exists (select 1 from account a where a.instance_id = i.id)
     order by i.name`;
  return rows.map(({ name }) => name);
}
