/**
 * What a move changes about an account, as parts of its statements: the mark that makes writers back off, the owner,
 * and the history of owners by epoch. Nothing else changes these (docs/adr/0003, 0004), but for a restored backup.
 */
import type { AccountId, InstanceId, MoveId } from '../base/ids.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** Marks the accounts of `rows`, a relation with `account_id`, for the move; returns their ids. */
export function markAccounts(q: Queryable, rows: SqlFragment, moveId: MoveId, forMs: number): SqlFragment {
  return q`
    insert into account_mark (account_id, move_id, until)
    select account_id, ${moveId}, clock_timestamp() + make_interval(secs => ${forMs / 1000}) from ${rows}
    on conflict (account_id) do update set move_id = excluded.move_id, until = excluded.until
    returning account_id`;
}

/** Removes the marks of these moves, or only those on these accounts; both are ids, or queries for ids. */
export function removeMarks(q: Queryable, moves: SqlFragment, accounts?: SqlFragment): SqlFragment {
  const there = accounts === undefined ? q`` : q`and k.account_id in (${accounts})`;
  return q`delete from account_mark k where k.move_id in (${moves}) ${there}`;
}

interface OwnerChange {
  readonly accountId: AccountId;
  readonly fromInstanceId: InstanceId;
  readonly toInstanceId: InstanceId;
}

/** The account's new owner and next epoch, if `when` holds and it is still at its source; returns id and epoch. */
export function changeOwner(q: Queryable, change: OwnerChange, when: SqlFragment): SqlFragment {
  return q`
        update account set instance_id = ${change.toInstanceId}, epoch = epoch + 1
         where id = ${change.accountId} and instance_id = ${change.fromInstanceId} and ${when}
        returning id, epoch`;
}

/** Records the change permanently; `changed` is what {@link changeOwner} returned. */
export function recordOwner(q: Queryable, changed: SqlFragment, toInstanceId: InstanceId): SqlFragment {
  return q`
        insert into account_epoch (account_id, epoch, instance_id)
        select id, epoch, ${toInstanceId} from ${changed}`;
}

/** Every account goes on at this epoch, or the next if it is beyond that already: after the domain was restored. */
export async function raiseEpochs(q: Queryable, to: number): Promise<void> {
  await q`
    with raised as (
      update account set epoch = greatest(epoch + 1, ${to}::bigint) returning id, epoch, instance_id
    )
    insert into account_epoch (account_id, epoch, instance_id) select id, epoch, instance_id from raised`;
}
