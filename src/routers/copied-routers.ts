/** Routers in a copy of a domain that is only tried. Invariant: nothing that runs on it dials one of the domain's. */
import type { Queryable } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';
import { replaceSetting } from '../domain/settings.ts';
import type { RouterAddress } from '../link/credential.ts';

/** Also of a domain of 1.3, which has them in its setting, from which the expansion takes them over. */
export async function forgetRouters(q: Queryable, instead: RouterAddress): Promise<void> {
  await replaceSetting(q, 'routers', { addresses: [instead] });
  if (!(await hasTable(q, 'router'))) return;
  await q`
    update router set link_host = ${instead.host}, link_port = ${instead.port}, server_name = ${instead.serverName}`;
}
