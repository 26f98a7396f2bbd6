/**
 * Who looks at a table now and then is told when it has changed: triggers say so (`sql/017-change-notices.expand.sql`), whoever
 * wrote it, a release that knows nothing of this and a hand in the database included. What a look is for comes soon after a
 * notice and late without one: a notice may be lost.
 */
import type { Bell } from '../base/bell.ts';
import type { Database } from './connection.ts';

/** Between two looks that no notice brought forward. */
export const lateLookMs = 30_000;

/** Tables whose triggers tell of changes. */
export type NoticedTable =
  | 'setting'
  | 'revocation_list'
  | 'srp_renewal'
  | 'srp_clearance'
  | 'srp_credential'
  | 'audit_record';

/** Rings when one of the tables was written, and after a time in which nobody listened. */
export async function ringAtChanges(
  db: Database,
  tables: readonly NoticedTable[],
  bell: Pick<Bell, 'ring'>,
): Promise<{ unlisten(): Promise<void> }> {
  return await db.listen('bramble_change', (table) => {
    if (table === '' || tables.some((name) => name === table)) bell.ring();
  });
}
