/** Numbers of revisions (`sql/…-revisions.expand.sql`), which a restored database would give out a second time. */

import type { Transaction } from './connection.ts';
import { hasTable } from './has-table.ts';

/** Those after the backup were shown to people who may still hold them. @param to above all that were given out */
export async function raiseRevisions(tx: Transaction, to: number): Promise<void> {
  if (await hasTable(tx, 'revision'))
    await tx`select setval('revision', greatest(last_value + 1, ${to}::bigint)) from revision`;
}
