/**
 * Periodic chores of an instance for its own accounts: resending what was refused, and keeping the queue table small.
 */

import { fencedAccounts, isServedBy } from '../accounts/account-fence.ts';
import { type Clock, hasPassed } from '../base/clock.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { cancelledByOperator } from '../devices/unanswered-commands.ts';
import { commandStates } from '../states/command-states.ts';
import { deliveryStates } from '../states/delivery-states.ts';

/**
 * An IT policy that a device answered with an error, or not at all, is owed again `afterSeconds` later, unless a newer one is on
 * its way or was sent since, or an operator cancelled it. Returns how many. By delivery_failed and delivery_device; the unique index delivery_owed makes a repeated call harmless. Fenced.
 */
export async function oweRefusedPolicies(q: Queryable, instanceId: string, afterSeconds: number): Promise<number> {
  const { count } = await q`
    with refused as materialized (
      select distinct d.device_id, d.account_id
        from delivery d
       cross join lateral (select from device v where v.id = d.device_id and v.state = 'active' offset 0) v
       cross join lateral (
         select from account a where a.id = d.account_id and a.instance_id = ${instanceId} offset 0) a
       where d.state = 'failed' and d.item = 'it-policy' and d.failure is distinct from ${cancelledByOperator}
         and d.settled_at < statement_timestamp() - make_interval(secs => ${afterSeconds})
         and not exists (select 1 from delivery n
                          where n.device_id = d.device_id and n.item = d.item and n.id <> d.id
                            and (${deliveryStates.in(q, 'open', 'n')} or n.settled_at > d.settled_at))
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
 * Deletes up to `limit` commands of the instance's accounts that were answered more than `afterSeconds` ago, and as
 * many that were cancelled; returns how many. A late answer to one of them is acknowledged like any other. By
 * command_answered, its order; rows FOR UPDATE SKIP LOCKED, accounts FOR SHARE SKIP LOCKED.
 */
export async function trimCommands(
  q: Queryable,
  instanceId: string,
  afterSeconds: number,
  limit: number,
): Promise<number> {
  const before = q`statement_timestamp() - make_interval(secs => ${afterSeconds})`;
  const oldOnes = (since: SqlFragment, order: SqlFragment) => q`
      select c.id from command c cross join lateral (
         select from account a where a.id = c.account_id and ${isServedBy(q, instanceId)}
            for share of a skip locked) a
       where ${commandStates.in(q, 'settled', 'c')} and ${since}
       ${order} limit ${limit}
         for update of c skip locked`;
  const { count } = await q`
    with answered as materialized (${oldOnes(q`c.answered_at < ${before}`, q`order by c.answered_at`)}
    ), cancelled as materialized (${oldOnes(q`c.answered_at is null and c.queued_at < ${before}`, q``)}
    )
    delete from command c
     where c.id = any(array(select id from answered union all select id from cancelled))`;
  return count;
}

/** True at most once in `intervalMs`: for chores inside a loop that turns more often. */
export function createChore(clock: Clock, intervalMs: number): () => boolean {
  let doneAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (!hasPassed(clock, doneAt, intervalMs)) return false;
    doneAt = clock.now();
    return true;
  };
}
