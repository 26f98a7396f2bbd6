/** Processes that are wanted and not at work, as when their host was cut off. */
import type { Queryable } from '../../database/connection.ts';

export interface AbsentProcess {
  name: string;
  host: string;
}

/** Of these names those that are to run, and whose lease has ended. */
export async function listAbsent(q: Queryable, names: readonly string[]): Promise<AbsentProcess[]> {
  return await q<AbsentProcess[]>`
    select p.name, p.host from desired_process p
     where p.name = any(${names as string[]}) and p.state = 'running'
       and not exists (select 1 from component c
                        where c.name = p.name and c.stopped_at is null and c.lease_until > clock_timestamp())
     order by p.name`;
}

/** `server-1-1-5 on berlin-2 to be at work` */
export function absentText(absent: readonly AbsentProcess[]): string {
  return `${absent.map(({ name, host }) => `${name} on ${host}`).join(', ')} to be at work`;
}
