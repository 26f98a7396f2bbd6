/** What a supervisor reports of the releases on its host. */
import type { Database } from '../database/connection.ts';

/** Replaces what the host reported before, unless it is the same. */
export async function reportReleases(q: Database, host: string, releases: readonly string[]): Promise<void> {
  const rows = await q<{ release: string }[]>`select release from host_release where host = ${host}`;
  const known = new Set(rows.map(({ release }) => release));
  if (known.size === releases.length && releases.every((release) => known.has(release))) return;
  await q`
    insert into host_release (host, release)
    select ${host}, unnest(${releases as string[]}::text[])
    on conflict do nothing`;
  await q`delete from host_release where host = ${host} and release <> all(${releases as string[]})`;
}
