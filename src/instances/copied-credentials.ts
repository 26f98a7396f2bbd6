/** Credentials in a copy of a domain that is only tried. */
import type { Queryable } from '../database/connection.ts';

/** Their answers would bring addresses of the domain's routers along. */
export async function forgetRequests(q: Queryable): Promise<void> {
  await q`delete from srp_renewal`;
}
