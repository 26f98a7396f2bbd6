/** OpenID providers in a copy of a domain that is only tried. Invariant: nothing there asks them anything, or signs in by their word. */
import type { Queryable } from '../../database/connection.ts';
import { hasTable } from '../../database/has-table.ts';

/** Of whichever release the copy is. */
export async function forgetProviders(q: Queryable): Promise<void> {
  if (await hasTable(q, 'openid_provider')) await q`delete from openid_provider`;
}
