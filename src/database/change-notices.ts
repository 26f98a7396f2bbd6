/**
 * Tells code that polls a table when it has changed. Triggers send the notices (`sql/017-change-notices.expand.sql` and later ones), so
 * writes of earlier releases and manual changes count, too. A notice makes the next look come sooner; as notices may be
 * lost, the poll remains.
 */
import type { Bell } from '../base/bell.ts';
import type { Database } from './connection.ts';

/** Between two looks without a notice. */
export const lateLookMs = 30_000;

/** Tables whose triggers report changes. */
export type NoticedTable =
  | 'setting'
  | 'authority'
  | 'authority_statement'
  | 'revocation_list'
  | 'srp_renewal'
  | 'srp_clearance'
  | 'srp_credential'
  | 'audit_record'
  | 'notice'
  | 'host_invitation'
  | 'router'
  | 'router_request'
  | 'event';

/** Between two rings: everybody who may log in can send notices, invited hosts too, and each ring costs a look. */
const leastMs = 100;

/** Rings when one of the tables was written, and after a gap in listening: at once, or once for all that came too soon after the last ring. */
export async function ringAtChanges(
  db: Database,
  tables: readonly NoticedTable[],
  bell: Pick<Bell, 'ring'>,
): Promise<{ unlisten(): Promise<void> }> {
  let resting: NodeJS.Timeout | undefined;
  let isDue = false;
  const ring = () => {
    isDue = resting !== undefined;
    if (isDue) return;
    bell.ring();
    resting = setTimeout(() => {
      resting = undefined;
      if (isDue) ring();
    }, leastMs);
  };
  const listening = await db.listen('bramble_change', (table) => {
    if (table === '' || tables.some((name) => name === table)) ring();
  });
  return {
    unlisten: async () => {
      clearTimeout(resting);
      await listening.unlisten();
    },
  };
}
