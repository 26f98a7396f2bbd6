/** Which instances are of an earlier release, and who is still there: counted from where accounts are, whatever a plan says. */
import type { Queryable } from '../database/connection.ts';

export interface PlacedInstance {
  id: string;
  name: string;
  accounts: number;
}

/**
 * Instances that were not retired and are not of this release, with their accounts. The release is that which is wanted of
 * the process; where none is wanted, that which it registered with.
 */
export async function listInstancesBehind(q: Queryable, release: string): Promise<PlacedInstance[]> {
  return await q<PlacedInstance[]>`
    select i.id, i.name, (select count(*)::int from account a where a.instance_id = i.id) as accounts
      from instance i
      cross join lateral (
        select coalesce((select d.release from desired_process d where d.name = i.name and d.kind = 'server'),
                        (select c.release from component c where c.name = i.name and c.kind = 'server')) as release) r
     where i.retired_at is null and r.release is distinct from ${release}
     order by i.name`;
}
