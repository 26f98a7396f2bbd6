/** Hosts whose supervisor is gone: known at once, where its last report leaves it at work for a while. */
import type { Queryable } from '../../database/connection.ts';

/** Of the hosts on which something is to run. A supervisor of any release names itself in its session, cut to the 63 bytes that PostgreSQL keeps. */
export async function listHostsWithoutSupervisor(q: Queryable): Promise<string[]> {
  const rows = await q<{ host: string }[]>`
    select distinct p.host from desired_process p
     where p.state = 'running'
       and not exists (select 1 from pg_stat_activity s
                        where s.datname = current_database()
                          and starts_with(s.application_name, left('bramble/supervisor@' || p.host || '#', 63)))
     order by 1`;
  return rows.map(({ host }) => host);
}
