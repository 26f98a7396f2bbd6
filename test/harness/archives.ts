/** The release archives that a domain is run from: the sealed one, the working tree's, and ones that are wrong on purpose. */
import { rmSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildRelease } from '../../scripts/release-build.ts';
import { compareReleases, isLaterPatch, isOneStep } from '../../src/base/release-number.ts';
import { installArchive } from '../../src/release/archive.ts';
import { writeEntries } from '../../src/release/archive-bytes.ts';
import { formatManifest, manifestName, parseManifest, programName } from '../../src/release/manifest.ts';
import { type Entries, readEntries, sha256 } from '../../src/release/tar-entries.ts';

export const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** Names a folder that the test files of one run share. */
export const sharedFolderVariable = 'BRAMBLE_TEST_RUN_FOLDER';

export interface BuiltArchive {
  file: string;
  release: string;
}

/** The latest sealed release that the working tree, or another release, is reached from by a phased upgrade. */
export async function sealedArchive(to?: string): Promise<BuiltArchive> {
  const target = to ?? (await ownRelease());
  const archive = await latestSealed((release) => isOneStep(release, target));
  if (!archive) throw new Error(`releases/ holds no release of the minor version before ${target}`);
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

let program: Promise<string> | undefined;

/**
 * The working tree's program, bundled and installed as a release is: it starts in half the time that its sources take. One
 * for all files of a run of the tests.
 */
export function workingTreeProgram(): Promise<string> {
  program ??= installWorkingTree();
  return program;
}

async function installWorkingTree(): Promise<string> {
  const { file } = await workingTreeArchive();
  const home = process.env[sharedFolderVariable] ?? (await archiveFolder());
  return join(await installArchive(file, { home }), programName);
}

/** The first caller builds it. If two build at once, the later result replaces the earlier, identical one. */
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

/** A temporary folder, removed when this process exits. */
async function archiveFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-archive-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function buildWorkingTree(): Promise<BuiltArchive> {
  const { name, archive, manifest } = await buildRelease({ tree: checkout, commit: null });
  const file = join(await archiveFolder(), name);
  await writeFile(file, archive);
  return { file, release: manifest.release };
}

/** A replacement in the bundled program, which keeps the sources' names but not their white space. */
export interface ProgramEdit {
  /** Must occur exactly once. */
  readonly find: string;
  readonly replace: string;
}

/**
 * The working tree's program under another number, perhaps with other code or more files. The bundle is edited: building it
 * again for each would take as long as what the test is about.
 */
export async function patchedArchive(
  release: string,
  edits: readonly ProgramEdit[] = [],
  more: Entries = new Map(),
): Promise<BuiltArchive> {
  const { file, release: own } = await workingTreeArchive();
  const entries = await readEntries(await readFile(file));
  const manifest = parseManifest(String(entries.get(manifestName)));
  const renumber = { find: `release:"${own}"`, replace: `release:"${release}"` };
  for (const edit of release === own ? edits : [renumber, ...edits]) applyEdit(entries, edit);
  for (const [name, contents] of more) entries.set(name, contents);
  entries.delete(manifestName);
  const files = Object.fromEntries([...entries].map(([name, contents]) => [name, sha256(contents)]));
  entries.set(manifestName, Buffer.from(formatManifest({ ...manifest, release, files })));
  const patched = join(await archiveFolder(), `bramble-${release}.tgz`);
  await writeFile(patched, await writeEntries(entries));
  return { file: patched, release };
}

/** The working tree's program under the number of the next minor release: what an upgrade of the working tree goes to. */
export async function nextArchive(): Promise<BuiltArchive> {
  const [major = 0, minor = 0] = (await ownRelease()).split('.').map(Number);
  return await patchedArchive(`${major}.${minor + 1}.0`);
}

/** @throws Error unless the text occurs exactly once in the program. */
function applyEdit(entries: Entries, { find, replace }: ProgramEdit): void {
  const places = [...entries].filter(([name, contents]) => name.endsWith('.mjs') && contents.includes(find));
  const [[name, contents] = ['', Buffer.alloc(0)]] = places;
  if (places.length !== 1 || contents.indexOf(find) !== contents.lastIndexOf(find)) {
    throw new Error(`The program does not hold exactly once: ${find}`);
  }
  entries.set(name, Buffer.from(String(contents).replace(find, () => replace)));
}

/** A release whose instances answer every connect request with an internal error. */
export async function defectiveArchive(release: string): Promise<BuiltArchive> {
  return await patchedArchive(release, [
    {
      find: 'return await answerCommandRequest(options,{request,rule,protocol,token,way})',
      replace: "throw new Error('defective on purpose')",
    },
  ]);
}
