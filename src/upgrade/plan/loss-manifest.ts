/**
 * What an upgrade would lose, computed from the catalog: this program declares what happens to each table with data of
 * an account, a device or a delivery. A table without a declaration is an entry of the manifest, since nothing would
 * preserve its data. Normally it is empty.
 */

import type { Loss } from '../../api/upgrade-plan.ts';
import type { Queryable } from '../../database/connection.ts';

/** Tables with an account's data, and what becomes of them when the account changes its instance within the domain. */
const accountTables: Readonly<Record<string, 'stays with the account' | 'of the upgrade itself'>> = {
  account: 'stays with the account',
  account_epoch: 'stays with the account',
  account_mark: 'of the upgrade itself',
  account_move: 'of the upgrade itself',
  account_policy: 'stays with the account',
  activation_password: 'stays with the account',
  command: 'stays with the account',
  delivery: 'stays with the account',
  delivery_permit: 'stays with the account',
  device: 'stays with the account',
  device_heard: 'stays with the account',
  device_renewal: 'stays with the account',
  device_repeat: 'stays with the account',
  device_user: 'stays with the account',
  group_member: 'stays with the account',
  request_outcome: 'stays with the account',
  request_sample: 'stays with the account',
  upgrade_assignment: 'of the upgrade itself',
};

/** Entries for the tables of `present` that are not declared. */
export function lossesOf(present: readonly string[], known: Readonly<Record<string, string>> = accountTables): Loss[] {
  return present
    .filter((table) => !Object.hasOwn(known, table))
    .map((table) => ({
      what: `the table ${table}`,
      why: 'it contains account data, and this release does not know how to preserve it',
    }));
}

/** Ordinary tables of the domain's schema that refer to an account, a device or a delivery, from the catalog. */
export async function listAccountTables(q: Queryable): Promise<string[]> {
  const rows = await q<{ name: string }[]>`
    select distinct c.relname as name
      from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace and a.attnum > 0
       and not a.attisdropped
       and (a.attname in ('account_id', 'device_id', 'delivery_id') or c.relname in ('account', 'device'))
     order by 1`;
  return rows.map((row) => row.name);
}
