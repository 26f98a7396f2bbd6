/** What of devices somebody sees who is limited to groups. */
import { isAccountWithin, type Within } from '../accounts/account-scope.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';

/** Id of the account whose device, or command, this is; null if there is none, or the text is no id. */
export function ownerOfDevice(q: Queryable, id: SqlFragment): SqlFragment {
  return q`(select owned.account_id from device owned where owned.id = ${idIn(q, id)})`;
}

export function ownerOfCommand(q: Queryable, id: SqlFragment): SqlFragment {
  return q`(select owned.account_id from command owned where owned.id = ${idIn(q, id)})`;
}

function idIn(q: Queryable, text: SqlFragment): SqlFragment {
  return q`(case when ${text} ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then ${text}::uuid end)`;
}

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

/** More devices than a person has; of an account with still more, any of them. */
const mostDevices = 1000;

/** Ids of the devices that an account has and had; by device_account. */
export async function devicesOfAccount(q: Queryable, accountId: string): Promise<string[]> {
  const rows = await q<{ id: string }[]>`select id from device where account_id = ${accountId} limit ${mostDevices}`;
  return rows.map(({ id }) => id);
}
