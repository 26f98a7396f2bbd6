/** Which releases the hosts of the domain have, as their supervisors report it. */
import type { Queryable } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';

/** Hosts whose supervisors have reported the release. None before the schema has the table. */
export async function hostsWithRelease(q: Queryable, release: string): Promise<string[]> {
  if (!(await hasTable(q, 'host_release'))) return [];
  const rows = await q<{ host: string }[]>`select host from host_release where release = ${release} order by host`;
  return rows.map(({ host }) => host);
}
