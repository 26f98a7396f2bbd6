/**
 * Why the account fence let a statement pass without writing: the account has another owner, or is being moved just now.
 * It only explains; what must not be written was already not written.
 */
import { isMarked } from '../accounts/account-fence.ts';
import type { DeviceId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';

/** `owner` is the SRP identifier for the `bramble-owner` header; `moving` is to be answered with 503. */
export type FenceMiss = { readonly kind: 'not-owner'; readonly owner: SrpIdentifier } | { readonly kind: 'moving' };

export type FencedBy = { readonly accountName: string } | { readonly token: string } | { readonly deviceId: DeviceId };

/**
 * Asks once more, without a lock, through the unique indexes of account names and device tokens. `mine` when the account
 * can be written by now: a mark that has just ended. Undefined when there is no such account or device.
 */
export async function fenceMissOf(
  q: Queryable,
  instanceId: InstanceId,
  by: FencedBy,
): Promise<FenceMiss | { readonly kind: 'mine' } | undefined> {
  const rows =
    'accountName' in by
      ? await q<OwnerRow[]>`
          select a.instance_id as "instanceId", i.srp_identifier as owner,
            ${isMarked(q)} as moving
          from account a join instance i on i.id = a.instance_id
          where a.name = ${by.accountName}`
      : 'token' in by
        ? await q<OwnerRow[]>`
          select a.instance_id as "instanceId", i.srp_identifier as owner,
            ${isMarked(q)} as moving
          from device d join account a on a.id = d.account_id join instance i on i.id = a.instance_id
          where d.token = ${by.token}`
        : await q<OwnerRow[]>`
          select a.instance_id as "instanceId", i.srp_identifier as owner,
            ${isMarked(q)} as moving
          from device d join account a on a.id = d.account_id join instance i on i.id = a.instance_id
          where d.id = ${by.deviceId}`;
  const [row] = rows;
  if (row === undefined) return undefined;
  if (row.instanceId !== instanceId) return { kind: 'not-owner', owner: row.owner };
  return { kind: row.moving ? 'moving' : 'mine' };
}

interface OwnerRow {
  instanceId: string;
  owner: SrpIdentifier;
  moving: boolean;
}
