/**
 * Moves that are committed and would never end, since none of the account's devices comes, while the account is to go somewhere
 * else: what they owe is owed by the account's next move.
 */
import type { Queryable, SqlFragment, Transaction } from '../database/connection.ts';

/** The condition on a row `m` of account_move, for where its account is to go. */
export function isOutOfReachElsewhere(q: Queryable, goal: SqlFragment): SqlFragment {
  return q`(m.state = 'delivering' and m.out_of_reach and m.to_instance_id <> ${goal})`;
}

/** @param goals a query for `account_id` and `to_instance_id`; through account_move_open. */
export async function closeOutOfReach(tx: Transaction, goals: SqlFragment): Promise<void> {
  await tx`
    update account_move m set state = 'closed', closed_at = now()
      from (${goals}) g
     where m.account_id = g.account_id and ${isOutOfReachElsewhere(tx, tx`g.to_instance_id`)}`;
}
