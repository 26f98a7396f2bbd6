/**
 * How a host gets a release that it does not have: from the database, where another host has stored it (`release-store.ts`).
 *
 * Protects: what is fetched is installed only if every file has the digest of the manifest and the host itself accepts the
 * signer; the database is not trusted with it.
 */
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import type { Sql } from '../database/session.ts';
import { installRead, type ReadRelease, releaseOfFiles } from '../release/archive.ts';
import { judgeSigner } from '../release/signer-judgement.ts';
import { readHostSigner, writeHostSigner } from './host-signer.ts';

/**
 * Fetches a release and installs it in the home. Returns false when it is not stored yet.
 * @throws BrambleError ERR_RELEASE_ARCHIVE_MALFORMED or ERR_RELEASE_ARCHIVE_CHANGED for damaged files, ERR_RELEASE_SIGNER when
 * this host does not accept who signed it
 */
export async function fetchRelease(q: Queryable | Sql, home: string, release: string): Promise<boolean> {
  const read = await readStored(q, release);
  if (read === undefined) return false;
  const known = await readHostSigner(home);
  const judgement = judgeSigner(read, known);
  await installRead(read, home);
  if ('signer' in judgement && judgement.signer !== known.fingerprint) {
    await writeHostSigner(home, { ...known, fingerprint: judgement.signer });
  }
  return true;
}

async function readStored(q: Queryable | Sql, release: string): Promise<ReadRelease | undefined> {
  const [row] = await q<{ signature: string | null; bytes: number }[]>`
    select signature, (select coalesce(sum(length(contents)), 0)::float8 from release_file f where f.release = p.release) as bytes
      from release_package p where release = ${release}`;
  if (row === undefined) return undefined;
  if (row.bytes > maxStoredBytes) {
    throw new BrambleError(
      'ERR_RELEASE_ARCHIVE_MALFORMED',
      `Release ${release} in the database is larger than a release can be.`,
    );
  }
  const files = await q<{ path: string; contents: Buffer }[]>`
    select path, contents from release_file where release = ${release} order by path`;
  return releaseOfFiles(new Map(files.map(({ path, contents }) => [path, contents])), row.signature, release);
}

/** As of an unpacked archive. */
const maxStoredBytes = 128 * 1024 * 1024;
