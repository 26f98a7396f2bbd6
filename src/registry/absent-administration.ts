/** Hosts whose administration service is not at work: between the end of one and the start of the next, or because it failed. */
import type { Queryable } from '../database/connection.ts';

/** Whether an administration service belongs on the host, and none of the domain's release is at work there. */
export async function lacksAdministration(q: Queryable, host: string): Promise<boolean> {
  const [row] = await q`
    select from desired_process
     where kind = 'administration' and host = ${host}
       and not exists (
             select from component join domain using (release)
              where component.kind = 'administration' and component.host = ${host}
                and stopped_at is null and lease_until > clock_timestamp())`;
  return row !== undefined;
}
