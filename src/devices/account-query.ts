/**
 * Accounts by what is said of them and of their devices. What is asked of an account must all hold of it; of several groups,
 * instances, platforms or versions, one is enough. One device has to have both the platform and the version.
 */
import { isMemberOf, unknownGroups } from '../accounts/account-selection.ts';
import type { Queryable } from '../database/connection.ts';

export interface AccountQuery {
  readonly groups: readonly string[];
  /** Names of instances. */
  readonly instances: readonly string[];
  readonly platforms: readonly string[];
  /** Versions of the devices' software, or how they begin: `17` is also 17.4, and not 170. */
  readonly software: readonly string[];
}

export function asksForSomething({ groups, instances, platforms, software }: AccountQuery): boolean {
  return groups.length + instances.length + platforms.length + software.length > 0;
}

/** The names of the accounts, in order; those of groups and instances that there are not are answered apart. */
export async function findAccounts(
  q: Queryable,
  query: AccountQuery,
): Promise<{ found: string[]; unknown: { groups: string[]; instances: string[] } }> {
  const [groups, instances] = [await unknownGroups(q, query.groups), await unknownInstances(q, query.instances)];
  const byDevice = query.platforms.length + query.software.length > 0;
  const rows = await q<{ name: string }[]>`
    select a.name from account a
     where (${query.groups.length === 0} or ${isMemberOf(q, q`a.id`, query.groups)})
       and (${query.instances.length === 0} or exists (
             select 1 from instance i where i.id = a.instance_id and i.name = any(${[...query.instances]}::text[])))
       and (${!byDevice} or exists (
             select 1 from device d
              where d.account_id = a.id and (d.state = 'active') is true
                and (${query.platforms.length === 0} or d.platform = any(${[...query.platforms]}::text[]))
                and (${query.software.length === 0} or exists (
                      select 1 from unnest(${[...query.software]}::text[]) as v(version)
                       where starts_with(coalesce(d.software_version, d.os_version) || '.', v.version || '.')))))
     order by a.name`;
  return { found: rows.map(({ name }) => name), unknown: { groups, instances } };
}

async function unknownInstances(q: Queryable, names: readonly string[]): Promise<string[]> {
  const rows = await q<{ name: string }[]>`
    select n.name from unnest(${[...names]}::text[]) with ordinality as n(name, position)
     where not exists (select 1 from instance i where i.name = n.name) order by n.position`;
  return rows.map(({ name }) => name);
}
