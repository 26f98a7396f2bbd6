/** Hosts from which nobody hears, though something is to run there, or could be. */
import type { Queryable } from '../database/connection.ts';
import { isLongerAgo } from '../database/time-stamps.ts';

export interface SilentHost {
  host: string;
  /** When its supervisor reported last, if it is that which is silent. */
  supervisorSeenAt: Date | null;
  /** Components that should show a sign of life, if none of them does. */
  silentComponents: number;
}

/** Several times the interval between signs of life: of a supervisor, 10 s; of a component, 2 s, with a lease of 10 s. */
const supervisorSilenceSeconds = 45;
const leaseOverSeconds = 30;

/**
 * Of the hosts on which something is to run, and of `others`, those whose supervisor is silent, or all of whose components are. Routers do not count: instances tell of them, which may
 * be what is lost. Neither does a component that said goodbye, nor a supervisor of 1.1, which never reports.
 */
export async function listSilentHosts(q: Queryable, others: readonly string[]): Promise<SilentHost[]> {
  return await q<SilentHost[]>`
    select w.host, case when ${isLongerAgo(q, q`s.seen_at`, supervisorSilenceSeconds)} then s.seen_at end as "supervisorSeenAt",
           case when c.silent = c.number then c.silent else 0 end as "silentComponents"
      from (select host from desired_process where state = 'running' union select unnest(${others}::text[])) w
      left join supervisor s on s.host = w.host
     cross join lateral (
       select count(*)::int as number,
              (count(*) filter (where ${isLongerAgo(q, q`c.lease_until`, leaseOverSeconds)}))::int as silent
         from component c
        where c.host = w.host and c.kind <> 'router' and c.stopped_at is null) c
     where ${isLongerAgo(q, q`s.seen_at`, supervisorSilenceSeconds)} or (c.number > 0 and c.silent = c.number)
     order by w.host`;
}
