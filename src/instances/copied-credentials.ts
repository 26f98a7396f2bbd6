/** Credentials in a copy of a domain that is only tried. Invariant: nobody is told there where the domain's routers are. */
import type { Queryable } from '../database/connection.ts';
import { writeSetting } from '../domain/settings.ts';
import type { RouterAddress } from '../link/credential.ts';

/** A renewal would bring the addresses along: of those that are open, and of those that begin. */
export async function forgetRouters(q: Queryable, instead: RouterAddress): Promise<void> {
  await q`delete from srp_renewal`;
  await writeSetting(q, 'routers', { addresses: [instead] });
}
