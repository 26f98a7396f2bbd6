/** The release archives that a domain is run from: the sealed one, and the working tree's, built once for a process. */
import { mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildRelease } from '../../scripts/release-build.ts';
import { compareReleases } from '../../src/base/release-number.ts';

export const checkout = fileURLToPath(new URL('../../', import.meta.url));

export interface BuiltArchive {
  file: string;
  release: string;
}

/** The latest sealed release before the working tree's. */
export async function sealedArchive(): Promise<BuiltArchive> {
  const { release: own } = await workingTreeArchive();
  const names = await readdir(join(checkout, 'releases'));
  const sealed = names
    .map((name) => ({ name, release: /^bramble-(\d+\.\d+\.\d+)\.tgz$/.exec(name)?.[1] }))
    .filter((entry): entry is { name: string; release: string } => entry.release !== undefined)
    .filter((entry) => compareReleases(entry.release, own) < 0)
    .sort((a, b) => compareReleases(b.release, a.release));
  const [latest] = sealed;
  if (!latest) throw new Error(`releases/ holds no release before ${own}`);
  return { file: join(checkout, 'releases', latest.name), release: latest.release };
}

let built: Promise<BuiltArchive> | undefined;

/** The working tree as an archive in a temporary folder. */
export function workingTreeArchive(): Promise<BuiltArchive> {
  built ??= buildWorkingTree();
  return built;
}

async function buildWorkingTree(): Promise<BuiltArchive> {
  const { name, archive, manifest } = await buildRelease({ tree: checkout, commit: null });
  const file = join(await mkdtemp(join(tmpdir(), 'bramble-archive-')), name);
  await writeFile(file, archive);
  return { file, release: manifest.release };
}
