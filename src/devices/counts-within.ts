/** How many accounts and devices somebody has who is limited to groups, for a look at the domain that shows him these alone. */
import { membersOf } from '../accounts/account-scope.ts';
import type { Queryable } from '../database/connection.ts';
import { shownState } from './device-list.ts';

interface OwnCounts {
  readonly instanceId: string;
  readonly accountCount: number;
  /** Of devices by state, those that are gone left out. */
  readonly devices: Readonly<Record<string, number>>;
}

/** By instance, without those that have no account of these groups. One pass over the groups' accounts and their devices. */
export async function countWithin(q: Queryable, groups: readonly string[]): Promise<OwnCounts[]> {
  return await q<OwnCounts[]>`
    with own as materialized (
      select a.id, a.instance_id from account a where a.id in (${membersOf(q, groups)})
    ), counted as (
      select o.instance_id, ${shownState(q)} as state, count(*) as devices
        from own o join device d on d.account_id = o.id where d.state <> 'gone' group by 1, 2)
    select o.instance_id as "instanceId", count(*)::int as "accountCount",
           coalesce((select jsonb_object_agg(c.state, c.devices) from counted c where c.instance_id = o.instance_id), '{}') as devices
      from own o group by o.instance_id`;
}
