/** Devices whose serial number, UDID or model begins with what is searched for. */
import type { FieldSearch } from '../accounts/account-search.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { beginsWith, beginsWithAny } from '../database/prefix.ts';
import { devicesOf, shownState, toldKey } from './device-list.ts';

/** Of device `d`, each along an index: device_serial_number, device_udid, device_model. */
const keys = {
  serialNumber: (q: Queryable) => toldKey(q, q`d.serial_number`),
  udid: (q: Queryable) => toldKey(q, q`d.udid`),
  model: (q: Queryable) => toldKey(q, q`d.model`),
} as const satisfies Record<string, (q: Queryable) => SqlFragment>;

export type SearchedDeviceField = keyof typeof keys;
export const searchedDeviceFields = Object.keys(keys) as readonly SearchedDeviceField[];

interface FoundDevice {
  readonly id: string;
  readonly key: string;
  readonly account: string;
  readonly displayName: string;
  readonly instance: string;
  readonly platform: string;
  readonly state: string;
  readonly serialNumber: string | null;
  readonly udid: string | null;
  readonly model: string | null;
}

/** By the field's key and id, without those that an earlier field finds. */
export async function searchDevices(
  q: Queryable,
  { field, prefix, prefixes, after, limit, accounts: { few, fits } }: FieldSearch<SearchedDeviceField>,
): Promise<readonly FoundDevice[]> {
  const key = keys[field](q);
  const earlier = searchedDeviceFields.slice(0, searchedDeviceFields.indexOf(field));
  return await q<FoundDevice[]>`
    with page as materialized (
      select d.* from ${devicesOf(q, few)} d
       where ${beginsWith(q, key, prefix)} and ${after === undefined ? q`true` : q`(${key}, d.id) > (${after[0]}::text, ${after[1]}::uuid)`}
         and not (${earlier.map((field) => beginsWithAny(q, keys[field](q), prefixes)).reduce((any, one) => q`${any} or ${one}`, q`false`)})
         and ${fits(q, q`d.account_id`)}
       order by ${key}, d.id limit ${limit})
    select d.id, ${key} as key, a.name as account, a.display_name as "displayName", i.name as instance, d.platform,
           ${shownState(q)} as state, d.serial_number as "serialNumber", d.udid, d.model
      from page d
      cross join lateral (select name, display_name, instance_id from account where id = d.account_id limit 1) a
      join instance i on i.id = a.instance_id
     order by ${key}, d.id`;
}
