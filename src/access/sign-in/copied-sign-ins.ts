/**
 * Sign-in in a copy of a domain, or in one restored from it. Invariant: what had ended since the copy was made opens nothing:
 * no session goes on, and no code is good once more.
 */
import type { Queryable } from '../../database/connection.ts';
import { hasTable } from '../../database/has-table.ts';

/** Of whichever release the copy is. */
export async function endCopiedSignIns(q: Queryable): Promise<void> {
  if (!(await hasTable(q, 'administrator_session'))) return;
  await q`update administrator_session set ended_at = now() where ended_at is null`;
  await q`delete from sign_in_code where used_at is null`;
  await q`delete from sign_in_challenge`;
}
