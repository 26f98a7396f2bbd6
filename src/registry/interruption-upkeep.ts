/** Old interruptions are trimmed by instances, which have the right to; mere readers do not need it. */
import type { Queryable } from '../database/connection.ts';

export async function trimInterruptions(q: Queryable, olderThanDays: number): Promise<void> {
  await q`delete from component_interruption where at < now() - make_interval(days => ${olderThanDays})`;
}
