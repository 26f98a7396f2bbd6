/** What a supervisor reports of the releases on its host. */
import type { Database } from '../database/connection.ts';

/** Replaces what the host reported before. */
export async function reportReleases(q: Database, host: string, releases: readonly string[]): Promise<void> {
  await q`
    insert into host_release (host, release)
    select ${host}, unnest(${releases as string[]}::text[])
    on conflict do nothing`;
  await q`delete from host_release where host = ${host} and release <> all(${releases as string[]})`;
}
