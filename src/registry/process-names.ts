/** Names of processes, for those who must not have one of them. */
import type { Queryable } from '../database/connection.ts';

/** Whether a process has the name, or is to have it. */
export async function isProcessName(q: Queryable, name: string): Promise<boolean> {
  const { count } = await q`
    select from component where lower(name) = lower(${name})
    union all select from desired_process where lower(name) = lower(${name})`;
  return count > 0;
}
