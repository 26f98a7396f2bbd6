/** What of devices somebody sees who is limited to groups. */
import { isAccountWithin, type Within } from '../accounts/account-scope.ts';
import type { Queryable } from '../database/connection.ts';

export async function seesDevice(q: Queryable, id: string, within: Within): Promise<boolean> {
  const { count } = await q`
    select from device d where d.id = ${id} and ${isAccountWithin(q, q`d.account_id`, within)}`;
  return count > 0;
}

export async function seesCommand(q: Queryable, id: string, within: Within): Promise<boolean> {
  const { count } = await q`
    select from command c where c.id = ${id} and ${isAccountWithin(q, q`c.account_id`, within)}`;
  return count > 0;
}
