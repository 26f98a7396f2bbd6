/** Processes that are taken away for good, in a file of its own: no process but the administration and the coordinator may do so. */
import type { Queryable } from '../database/connection.ts';

/** Processes that are taken away for good: not wanted, and not registered, so that they hold no feature back. */
export async function forgetProcesses(q: Queryable, names: readonly string[]): Promise<void> {
  await q`delete from desired_process where name = any(${names as string[]})`;
  await q`delete from component where name = any(${names as string[]})`;
}
