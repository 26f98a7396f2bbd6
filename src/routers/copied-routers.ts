/** Routers in a copy of a domain that is only tried. Invariant: nothing that runs on it dials one of the domain's. */
import * as z from 'zod';
import type { Queryable } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';
import { readSetting, replaceSetting } from '../domain/settings.ts';
import type { RouterAddress } from '../link/credential.ts';

const addressesOf13 = z.object({ addresses: z.array(z.unknown()).default([]) });

/** Also of a domain of 1.3, which has them in its setting, from which the expansion takes over as many. */
export async function forgetRouters(q: Queryable, instead: RouterAddress): Promise<void> {
  const { addresses } = await readSetting(q, 'routers', addressesOf13);
  await replaceSetting(q, 'routers', { addresses: addresses.map(() => instead) });
  if (!(await hasTable(q, 'router'))) return;
  await q`
    update router set link_host = ${instead.host}, link_port = ${instead.port}, server_name = ${instead.serverName}`;
}
