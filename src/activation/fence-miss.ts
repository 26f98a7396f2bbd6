/**
 * Why a statement behind the account fence wrote nothing: the account has another owner, or is being moved. It only
 * explains; the fence has already prevented the write.
 */
import { isMarked } from '../accounts/account-fence.ts';
import type { DeviceId, InstanceId, SrpIdentifier } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';

/** `owner` is the SRP identifier for the `bramble-owner` header; `moving` is to be answered with 503. */
export type FenceMiss = { readonly kind: 'not-owner'; readonly owner: SrpIdentifier } | { readonly kind: 'moving' };

type FencedBy = { readonly accountName: string } | { readonly token: string } | { readonly deviceId: DeviceId };

/**
 * Looks again, without a lock, through the unique indexes of account names and device tokens. `mine` if the account can
 * be written by now, because a mark has just ended. Undefined if there is no such account or device.
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
