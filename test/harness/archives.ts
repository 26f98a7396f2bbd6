/** The release archives that a domain is run from: the sealed one, the working tree's, and ones that are wrong on purpose. */
import { rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildRelease } from '../../scripts/release-build.ts';
import { applyEdits, type SourceEdit } from '../../scripts/source-edit.ts';
import { copyTree } from '../../scripts/tree-copy.ts';
import { compareReleases, isLaterPatch, isOneStep } from '../../src/base/release-number.ts';
import { writeEntries } from '../../src/release/archive-bytes.ts';
import { formatManifest, manifestName, parseManifest } from '../../src/release/manifest.ts';
import { type Entries, readEntries, sha256 } from '../../src/release/tar-entries.ts';

export const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** Names a folder that the test files of one run share. */
export const sharedFolderVariable = 'BRAMBLE_TEST_RUN_FOLDER';

export interface BuiltArchive {
  file: string;
  release: string;
}

/** The latest sealed release that the working tree is reached from by a phased upgrade. */
export async function sealedArchive(): Promise<BuiltArchive> {
  const own = await ownRelease();
  const archive = await latestSealed((release) => isOneStep(release, own));
  if (!archive) throw new Error(`releases/ holds no release of the minor version before ${own}`);
  return archive;
}

/** The latest sealed release that the working tree is a patch of; the working tree's where there is none yet. */
export async function patchBase(): Promise<BuiltArchive> {
  const own = await ownRelease();
  return (await latestSealed((release) => isLaterPatch(release, own))) ?? (await workingTreeArchive());
}

async function latestSealed(wanted: (release: string) => boolean): Promise<BuiltArchive | undefined> {
  const folder = join(checkout, 'releases');
  return (await readdir(folder))
    .flatMap((name) => {
      const release = /^bramble-(\d+\.\d+\.\d+)\.tgz$/.exec(name)?.[1];
      return release !== undefined && wanted(release) ? [{ file: join(folder, name), release }] : [];
    })
    .sort((a, b) => compareReleases(b.release, a.release))[0];
}

async function ownRelease(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8')) as { version: string };
  return version;
}

let built: Promise<BuiltArchive> | undefined;

/** The working tree as an archive in a temporary folder; one for all files of a run of the tests. */
export function workingTreeArchive(): Promise<BuiltArchive> {
  const shared = process.env[sharedFolderVariable];
  built ??= shared === undefined ? buildWorkingTree() : buildOnce(shared);
  return built;
}

/** Whoever comes first builds it; of two at once the later one replaces the other's, which is the same. */
async function buildOnce(folder: string): Promise<BuiltArchive> {
  const release = await ownRelease();
  const file = join(folder, `bramble-${release}.tgz`);
  if (await isThere(file)) return { file, release };
  const own = await buildWorkingTree();
  await rename(own.file, file);
  return { file, release };
}

async function isThere(file: string): Promise<boolean> {
  return await stat(file).then(
    () => true,
    () => false,
  );
}

/** A temporary folder that ends with this process. */
async function archiveFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-archive-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function buildWorkingTree(): Promise<BuiltArchive> {
  return await buildInto(await archiveFolder(), checkout);
}

async function buildInto(folder: string, tree: string): Promise<BuiltArchive> {
  const { name, archive, manifest } = await buildRelease({ tree, commit: null });
  const file = join(folder, name);
  await writeFile(file, archive);
  return { file, release: manifest.release };
}

/** The working tree's program under another number, perhaps with more files: for what looks at the manifest only. */
export async function renumberedArchive(release: string, more: Entries = new Map()): Promise<BuiltArchive> {
  const { file } = await workingTreeArchive();
  const entries = await readEntries(await readFile(file));
  const manifest = parseManifest(String(entries.get(manifestName)));
  const files = { ...manifest.files };
  for (const [name, contents] of more) {
    entries.set(name, contents);
    files[name] = sha256(contents);
  }
  entries.set(manifestName, Buffer.from(formatManifest({ ...manifest, release, files })));
  const renumbered = join(await archiveFolder(), `bramble-${release}.tgz`);
  await writeFile(renumbered, await writeEntries(entries));
  return { file: renumbered, release };
}

/** The working tree with other sources, as an archive of the release `release`. */
export async function patchedArchive(release: string, edits: readonly SourceEdit[] = []): Promise<BuiltArchive> {
  const folder = await archiveFolder();
  const tree = join(folder, 'tree');
  await copyTree(checkout, tree, release);
  await applyEdits(tree, edits);
  const built = await buildInto(folder, tree);
  await rm(tree, { recursive: true });
  return built;
}

/** A release whose instances answer every Idle and every answer of a device with an error of their own. */
export async function defectiveArchive(release: string): Promise<BuiltArchive> {
  return await patchedArchive(release, [
    {
      file: 'src/processes/server/device-handler.ts',
      find: `return await answerConnect(options, request, address.token, way);`,
      replace: `throw new Error('defective on purpose');`,
    },
  ]);
}
