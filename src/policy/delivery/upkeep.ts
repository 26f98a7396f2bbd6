/** What an instance does now and then for its own accounts: sending again what was refused, and keeping the queue table small. */

import type { Clock } from '../../base/clock.ts';
import { fencedAccounts } from '../../database/account-fence.ts';
import type { Queryable } from '../../database/connection.ts';
import { cancelledByOperator } from '../../domain/unanswered-commands.ts';

/**
 * An IT policy that a device answered with an error, or not at all, is owed again `afterSeconds` later, unless a newer one is on
 * its way or was sent since, or an operator cancelled it. Returns how many. By delivery_device; the unique index delivery_owed makes a repeated call harmless. Fenced.
 */
export async function oweRefusedPolicies(q: Queryable, instanceId: string, afterSeconds: number): Promise<number> {
  const { count } = await q`
    with refused as materialized (
      select distinct d.device_id, d.account_id
        from delivery d
        join device v on v.id = d.device_id and v.state = 'active'
        join account a on a.id = d.account_id and a.instance_id = ${instanceId}
       where d.state = 'failed' and d.item = 'it-policy' and d.failure is distinct from ${cancelledByOperator}
         and d.settled_at < clock_timestamp() - make_interval(secs => ${afterSeconds})
         and not exists (select 1 from delivery n
                          where n.device_id = d.device_id and n.item = d.item and n.id <> d.id
                            and (n.state in ('owed', 'released', 'handed-out', 'suspect') or n.settled_at > d.settled_at))
       limit 200
    ), fence as materialized (
      ${fencedAccounts(q, instanceId, q`select r.account_id from refused r`)}
    )
    insert into delivery (id, account_id, device_id, item, cause, budgeted)
    select gen_random_uuid(), r.account_id, r.device_id, 'it-policy', 'retry', true
      from refused r join fence f on f.id = r.account_id
    on conflict (device_id, item) where state = 'owed' do nothing`;
  return count;
}

/**
 * Deletes up to `limit` commands of own accounts that were answered or cancelled more than `afterSeconds` ago; returns how many.
 * A late answer to one of them is acknowledged like any other. Rows FOR UPDATE SKIP LOCKED, accounts FOR SHARE SKIP LOCKED.
 */
export async function trimCommands(
  q: Queryable,
  instanceId: string,
  afterSeconds: number,
  limit: number,
): Promise<number> {
  const { count } = await q`
    with old as materialized (
      select c.id from command c join account a on a.id = c.account_id
       where c.state in ('acknowledged', 'error', 'cancelled') and a.instance_id = ${instanceId}
         and coalesce(c.answered_at, c.queued_at) < clock_timestamp() - make_interval(secs => ${afterSeconds})
         and not exists (select 1 from account_mark m where m.account_id = a.id and m.until > clock_timestamp())
       limit ${limit}
         for share of a skip locked
         for update of c skip locked
    )
    delete from command c using old where c.id = old.id`;
  return count;
}

/** True at most once in `intervalMs`: for chores inside a loop that turns more often. */
export function createChore(clock: Clock, intervalMs: number): () => boolean {
  let dueAt = 0;
  return () => {
    if (clock.now() < dueAt) return false;
    dueAt = clock.now() + intervalMs;
    return true;
  };
}
