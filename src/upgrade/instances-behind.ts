/** Which instances are of an earlier release, and who is still there: counted from where accounts are, whatever a plan says. */
import type { Queryable } from '../database/connection.ts';

export interface PlacedInstance {
  id: string;
  name: string;
  /** Of its process, as it is registered or, where none ever was, as it is wanted; null for neither. */
  release: string | null;
  accounts: number;
}

/** Instances that were not retired and are not of this release, with their accounts. */
export async function listInstancesBehind(q: Queryable, release: string): Promise<PlacedInstance[]> {
  return await q<PlacedInstance[]>`
    select i.id, i.name, r.release, (select count(*)::int from account a where a.instance_id = i.id) as accounts
      from instance i
      cross join lateral (
        select coalesce((select d.release from desired_process d where d.name = i.name and d.kind = 'server'),
                        (select c.release from component c where c.name = i.name and c.kind = 'server')) as release) r
     where i.retired_at is null and r.release is distinct from ${release}
     order by i.name`;
}
