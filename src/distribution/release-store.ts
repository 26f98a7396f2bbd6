/** Releases in the database, where hosts that do not have them find them (`release-fetch.ts`). */
import { join } from 'node:path';
import type { Queryable, Transaction } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';
import { readInstalledFiles } from '../release/archive.ts';

/** Which releases are stored, with their manifests' SHA-256. */
export async function storedReleases(q: Queryable): Promise<Map<string, string>> {
  const rows = await q<{ release: string; manifest: string }[]>`
    select release, manifest_sha256 as manifest from release_package`;
  return new Map(rows.map(({ release, manifest }) => [release, manifest]));
}

/** Whether the schema has room for releases: from 1.4 on. */
export async function storesReleases(q: Queryable): Promise<boolean> {
  return await hasTable(q, 'release_package');
}

/** Stores an installed release, in place of another build of the same number. */
export async function storeRelease(tx: Transaction, home: string, release: string): Promise<void> {
  const { manifestSha256, signature, entries } = await readInstalledFiles(join(home, 'releases', release));
  await tx`delete from release_package where release = ${release}`;
  await tx`
    insert into release_package (release, manifest_sha256, signature)
    values (${release}, ${manifestSha256}, ${signature?.text ?? null})`;
  for (const [path, contents] of entries) {
    await tx`insert into release_file (release, path, contents) values (${release}, ${path}, ${contents})`;
  }
}

/** Removes the stored releases that are not among these. Returns their numbers. */
export async function pruneStored(tx: Transaction, kept: readonly string[]): Promise<string[]> {
  const rows = await tx<{ release: string }[]>`
    delete from release_package where release <> all(${kept as string[]}) returning release`;
  return rows.map(({ release }) => release);
}
