/** Accounts, and devices whose serial number, UDID or model begins with what is searched for, in one statement. */
import type { AccountChoice } from '../accounts/account-choice.ts';
import type { SearchHit } from '../api/search.ts';
import type { Queryable, SqlFragment } from '../database/connection.ts';
import { type PrefixWalk, prefixWalks, type WalkedRow, walkInTurn } from '../database/prefix-walk.ts';
import { devicesOf, shownState, toldKey } from './device-list.ts';

/** Of device `d`, each along an index: device_serial_number, device_udid, device_model. */
const keys = {
  serialNumber: (q: Queryable) => toldKey(q, q`d.serial_number`),
  udid: (q: Queryable) => toldKey(q, q`d.udid`),
  model: (q: Queryable) => toldKey(q, q`d.model`),
} as const satisfies Record<string, (q: Queryable) => SqlFragment>;

export function deviceWalks(
  choice: AccountChoice,
  prefixes: readonly string[],
): readonly PrefixWalk<keyof typeof keys>[] {
  const table = {
    from: (q: Queryable) => q`${devicesOf(q, choice)} d`,
    id: (q: Queryable) => q`d.id`,
    fits: (q: Queryable) => choice.remaining(q, q`d.account_id`),
  };
  return prefixWalks({ ...table, keys }, prefixes);
}

/** Of what a walk gave: the account that it is, or that the device is of. */
export interface WalkedHit extends WalkedRow {
  readonly account: string;
  readonly displayName: string;
  readonly instance: string;
  /** Null of an account. */
  readonly device: SearchHit['device'];
}

/**
 * By part, key and id: as many as asked for, if all walks together have them, or up to the end of one.
 * @param walks those of accounts, then those of devices, which begin with `firstOfDevices`
 */
export async function walkToHits(
  q: Queryable,
  walks: readonly PrefixWalk<unknown>[],
  firstOfDevices: number,
  asked: Parameters<typeof walkInTurn>[2],
): Promise<readonly WalkedHit[]> {
  const { queries, name } = walkInTurn(q, walks, asked);
  // Row by row: where nothing is known of them, a join would read all.
  return await q<WalkedHit[]>`
    with ${queries}
    select f.part, f.key, f.id, f.fits, f."isEnd", a.name as account, a.display_name as "displayName", i.name as instance,
           d.shown as device
      from (select * from ${q(name)} order by part, key, id limit ${asked.limit}) f
      left join lateral (
        select d.account_id, json_build_object(
                 'id', d.id, 'platform', d.platform, 'state', ${shownState(q)}, 'serialNumber', d.serial_number, 'udid', d.udid,
                 'model', d.model) as shown
          from device d where f.part >= ${firstOfDevices} and d.id = f.id limit 1) d on true
      cross join lateral (
        select name, display_name, instance_id from account where id = coalesce(d.account_id, f.id) limit 1) a
      join instance i on i.id = a.instance_id
     order by f.part, f.key, f.id`;
}
