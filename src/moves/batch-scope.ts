/** Which batches of moves somebody sees who is limited to groups: those that move accounts in them only. */
import { isAccountWithin, type Within } from '../accounts/account-scope.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** Of batch `b`. */
export function isBatchWithin(q: Queryable, within: Within): SqlFragment {
  if (within === null) return q`true`;
  return q`(exists (select from account_move m where m.batch_id = b.id)
    and not exists (select from account_move m where m.batch_id = b.id and not ${isAccountWithin(q, q`m.account_id`, within)}))`;
}

export async function seesMoveBatch(q: Queryable, id: string, within: Within): Promise<boolean> {
  const { count } = await q`select from move_batch b where b.id = ${id} and ${isBatchWithin(q, within)}`;
  return count > 0;
}
