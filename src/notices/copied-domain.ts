/**
 * Notices in a copy of a domain. Invariant: what is started on a copy, to try it, tells nobody: it has the addresses and keys
 * of the domain itself, whose receivers would take its word.
 */
import type { Queryable } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';

/** In a copy that is only tried, of whichever release. */
export async function forgetTargets(q: Queryable): Promise<void> {
  if (!(await hasTable(q, 'notice_target'))) return;
  await q`delete from notice_target`;
  await q`delete from notice`;
}

/** In a domain that was restored and goes on: what waited when it was copied was told since, or is of no use. */
export async function dropWaiting(q: Queryable): Promise<void> {
  if (await hasTable(q, 'notice')) await q`delete from notice`;
}
