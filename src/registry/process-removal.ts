/** Permanent removal of processes, in a separate file: only the administration and the coordinator may do this. */
import type { Queryable } from '../database/connection.ts';

/** Removes processes permanently: no longer wanted nor registered, so that they hold no feature back. */
export async function forgetProcesses(q: Queryable, names: readonly string[]): Promise<void> {
  await q`delete from desired_process where name = any(${names as string[]})`;
  await q`delete from component where name = any(${names as string[]})`;
}
