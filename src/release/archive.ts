/**
 * Opening and installing release archives. Invariant: a folder below `releases/` holds exactly the files that its
 * manifest lists, with the listed digests; it appears whole or not at all, also when the power fails, and a sealed
 * release is never replaced. A signature file beside an archive or an installed release must belong to it, or the
 * release is not used for anything new. Starting an installed release depends on its manifest alone, whatever lies
 * beside it.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeDurably } from '../base/durable-file.ts';
import { BrambleError } from '../base/errors.ts';
import { changed, type Found, type Manifest, malformed, manifestName, parseManifest } from './manifest.ts';
import {
  assertSigns,
  maxSignatureBytes,
  parseSignature,
  type ReleaseSignature,
  signatureSuffix,
  unusableAs,
} from './signature.ts';
import type { JudgedRelease } from './signer-judgement.ts';
import { type Entries, maxArchiveBytes, readEntries, sha256 } from './tar-entries.ts';

interface InstallOptions {
  /** BRAMBLE_HOME. */
  home: string;
  /** Digest of the whole archive, where one is known from elsewhere. */
  expectedSha256?: string;
}

/** A release with its signature, if there is one. `judgeSigner` judges who signed it. */
export interface FoundRelease extends JudgedRelease {
  manifest: Manifest;
}

/** A release in memory: what was checked is what is installed, even if the file changes meanwhile. */
export interface ReadRelease extends FoundRelease {
  entries: Entries;
}

interface ReadArchive extends ReadRelease {
  archiveSha256: string;
}

/**
 * Reads an archive and verifies every digest in it; if a `SHA256SUMS` file beside it names it, that digest is verified
 * too.
 * @throws BrambleError ERR_RELEASE_ARCHIVE_MALFORMED, ERR_RELEASE_ARCHIVE_CHANGED, ERR_RELEASE_ARCHIVE_MISSING.
 */
export async function openArchive(file: string, expectedSha256?: string): Promise<Manifest> {
  return (await readArchive(file, expectedSha256)).manifest;
}

/**
 * Unpacks an archive to `<home>/releases/<release>`, its signature beside that, and returns the folder. If the release
 * is already installed, it is verified instead; only a working tree's archive may replace that of another working tree
 * with the same number.
 * @throws BrambleError as `openArchive`; ERR_RELEASE_ARCHIVE_CHANGED also when another archive of this release is
 * installed already.
 */
export async function installArchive(file: string, options: InstallOptions): Promise<string> {
  return await installRead(await readArchive(file, options.expectedSha256), options.home);
}

/** As `installArchive`, for a release that has already been read. */
export async function installRead({ manifest, entries, signature }: ReadRelease, home: string): Promise<string> {
  const releases = path.join(home, 'releases');
  const folder = path.join(releases, manifest.release);
  await mkdir(releases, { recursive: true, mode: 0o755 });
  const draft = await mkdtemp(path.join(releases, '.draft-'));
  try {
    await writeFiles(draft, entries);
    if (await replaceable(folder, entries)) await rename(folder, path.join(draft, '.replaced')).catch(ignoreMissing);
    if (!(await isThere(folder))) {
      // Before the folder: an interruption leaves no release without the signature that it came with, nor with another's.
      if (signature === null) await rm(`${folder}${signatureSuffix}`, { force: true });
      else await writeSignature(folder, signature);
      await syncFolder(releases);
    }
    try {
      await moveInto(draft, folder);
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        throw error;
      }
    }
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  await assertInstalled(folder, entries);
  if (signature !== null) await writeSignature(folder, signature);
  await syncFolder(releases);
  await readInstalled(folder);
  return folder;
}

/**
 * Verifies that an installed release is as it was built; required before a process is started from it. The signer was
 * judged before installation. The signature is not read here: the supervisor may be of an earlier release than the one
 * it starts, and know less about signatures.
 * @throws BrambleError ERR_RELEASE_NOT_INSTALLED, ERR_RELEASE_ARCHIVE_CHANGED, ERR_RELEASE_ARCHIVE_MALFORMED.
 */
export async function verifyInstalled(folder: string): Promise<Manifest> {
  return (await readFiles(folder)).manifest;
}

/**
 * The same, with the signature that came with it, for a caller that judges the release. @throws also
 * ERR_RELEASE_SIGNATURE
 */
export async function readInstalled(folder: string): Promise<FoundRelease> {
  const { manifest, manifestSha256 } = await readFiles(folder);
  return await withSignature(manifest, manifestSha256, `${folder}${signatureSuffix}`);
}

/** An installed release with its files, to be passed on. @throws as `readInstalled` */
export async function readInstalledFiles(folder: string): Promise<ReadRelease> {
  const { manifest, manifestSha256, entries } = await readFiles(folder);
  return { ...(await withSignature(manifest, manifestSha256, `${folder}${signatureSuffix}`)), entries };
}

/**
 * A release from its files, the manifest among them, with the text of its signature.
 * @throws BrambleError ERR_RELEASE_ARCHIVE_MALFORMED, ERR_RELEASE_ARCHIVE_CHANGED, ERR_RELEASE_SIGNATURE
 */
export function releaseOfFiles(entries: Entries, signatureText: string | null, expected: string): ReadRelease {
  const { manifest, manifestSha256 } = readManifest(entries);
  const { release } = manifest;
  if (release !== expected) throw changed(`it is release ${release} instead of ${expected}`);
  if (signatureText === null) return { release, manifest, manifestSha256, entries, signature: null };
  const name = `The signature of release ${release}`;
  const signature = parseSignature(Buffer.from(signatureText), name);
  assertSigns(signature, { release, manifest: manifestSha256 }, name);
  return { release, manifest, manifestSha256, entries, signature };
}

/** Verifies every file against the manifest among them. */
function readManifest(entries: Entries): { manifest: Manifest; manifestSha256: string } {
  const bytes = entries.get(manifestName);
  if (bytes === undefined) {
    throw malformed('it has no manifest');
  }
  const manifest = parseManifest(bytes.toString('utf8'));
  assertFiles(manifest, new Map([...entries].filter(([name]) => name !== manifestName)));
  return { manifest, manifestSha256: sha256(bytes) };
}

async function readFiles(folder: string): Promise<{ manifest: Manifest; manifestSha256: string; entries: Entries }> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path.join(folder, manifestName));
  } catch (cause) {
    const release = path.basename(folder);
    const message = `Release ${release} is not installed: install its archive with "bramble release install" first.`;
    throw new BrambleError('ERR_RELEASE_NOT_INSTALLED', message, { cause });
  }
  const found: Found = { kind: 'installed', folder };
  const manifest = parseManifest(bytes.toString('utf8'), found);
  if (manifest.release !== path.basename(folder)) {
    throw changed(`the folder ${path.basename(folder)} holds release ${manifest.release}`, found);
  }
  const entries: Entries = new Map();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, file).split(path.sep).join('/');
    if (!entry.isFile() && !entry.isDirectory()) {
      throw changed(`"${name}" is not a plain file`, found);
    }
    if (entry.isFile() && name !== manifestName) {
      entries.set(name, await readFile(file));
    }
  }
  assertFiles(manifest, entries, found);
  return { manifest, manifestSha256: sha256(bytes), entries: entries.set(manifestName, bytes) };
}

/** The whole archive. @throws as `openArchive` */
export async function readArchive(file: string, expectedSha256?: string): Promise<ReadArchive> {
  const bytes = await readBounded(file);
  const digest = sha256(bytes);
  for (const expected of [expectedSha256, await listedDigest(file)]) {
    if (expected !== undefined && expected !== digest) {
      throw changed(`the SHA-256 of ${path.basename(file)} is ${digest}, but ${expected} was expected`);
    }
  }
  const entries = await readEntries(bytes);
  const { manifest, manifestSha256 } = readManifest(entries);
  const found = await withSignature(manifest, manifestSha256, `${file}${signatureSuffix}`, digest);
  return { ...found, entries, archiveSha256: digest };
}

/** @throws BrambleError ERR_RELEASE_SIGNATURE when the signature is for something else */
async function withSignature(
  manifest: Manifest,
  manifestSha256: string,
  file: string,
  archive?: string,
): Promise<FoundRelease> {
  const { release } = manifest;
  const signature = await readSignature(file);
  if (signature !== null) {
    assertSigns(
      signature,
      { release, ...(archive === undefined ? {} : { archive }), manifest: manifestSha256 },
      nameOf(file),
    );
  }
  return { release, manifest, manifestSha256, signature };
}

/** Null when there is none; an unreadable one is an error. */
async function readSignature(file: string): Promise<ReleaseSignature | null> {
  const unusable = unusableAs(nameOf(file));
  const cannot = (cause: unknown) => unusable('it cannot be read', cause);
  // Opening a FIFO would block until its other end is opened.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return null;
    throw cannot(cause);
  });
  if (handle === null) return null;
  try {
    if (!(await handle.stat()).isFile()) throw unusable('it is not a file');
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(maxSignatureBytes + 1)).catch((cause: unknown) => {
      throw cannot(cause);
    });
    return parseSignature(buffer.subarray(0, bytesRead), nameOf(file));
  } finally {
    await handle.close();
  }
}

function nameOf(file: string): string {
  return `The signature ${file}`;
}

async function writeSignature(folder: string, { text }: ReleaseSignature): Promise<void> {
  const draft = `${folder}${signatureSuffix}.${randomBytes(4).toString('hex')}`;
  try {
    await writeDurably(draft, text, { mode: 0o644, flag: 'wx' });
    await rename(draft, `${folder}${signatureSuffix}`);
  } finally {
    await rm(draft, { force: true });
  }
}

function assertFiles(manifest: Manifest, entries: Entries, found?: Found): void {
  for (const [name, digest] of Object.entries(manifest.files)) {
    const contents = entries.get(name);
    if (contents === undefined || sha256(contents) !== digest) {
      throw changed(contents === undefined ? `"${name}" is missing` : `"${name}" has other contents`, found);
    }
  }
  for (const name of entries.keys()) {
    if (!Object.hasOwn(manifest.files, name)) {
      throw changed(`"${name}" does not belong to it`, found);
    }
  }
}

async function assertInstalled(folder: string, entries: Entries): Promise<void> {
  const { manifest } = await readFiles(folder);
  const installed = await readFile(path.join(folder, manifestName));
  if (!installed.equals(entries.get(manifestName) ?? Buffer.alloc(0))) {
    throw new BrambleError(
      'ERR_RELEASE_ARCHIVE_CHANGED',
      `Another archive of release ${manifest.release} is already installed in ${folder}, and a sealed release never ` +
        'changes. Use the installed one, or, if nothing runs from that folder, move it aside and try again.',
    );
  }
}

/** Whether the installed release came from a working tree and differs from the entries, which also came from one. */
async function replaceable(folder: string, entries: Entries): Promise<boolean> {
  const next = entries.get(manifestName);
  const present = await readFile(path.join(folder, manifestName)).catch(() => null);
  if (present === null || next === undefined || present.equals(next)) {
    return false;
  }
  return parseManifest(present.toString('utf8')).workingTree && parseManifest(next.toString('utf8')).workingTree;
}

async function writeFiles(draft: string, entries: Entries): Promise<void> {
  const root = path.join(draft, 'files');
  const folders = new Set([root]);
  for (const [name, contents] of entries) {
    const file = path.join(root, name);
    await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
    await writeDurably(file, contents, { mode: 0o644 });
    for (let folder = path.dirname(file); !folders.has(folder); folder = path.dirname(folder)) folders.add(folder);
  }
  for (const folder of folders) await syncFolder(folder);
}

async function isThere(folder: string): Promise<boolean> {
  return (await stat(folder).catch(ignoreMissing)) !== undefined;
}

/** The draft's files are put in place in one step, and are never mixed with those of an existing folder. */
async function moveInto(draft: string, folder: string): Promise<void> {
  await rename(path.join(draft, 'files'), folder);
}

async function listedDigest(file: string): Promise<string | undefined> {
  const list = await readFile(path.join(path.dirname(file), 'SHA256SUMS'), 'utf8').catch(() => '');
  const line = list.split('\n').find((text) => text.slice(64).trim() === path.basename(file));
  return line?.slice(0, 64);
}

async function readBounded(file: string): Promise<Buffer> {
  // A pipe that nobody writes to would wait in one of few threads.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw new BrambleError('ERR_RELEASE_ARCHIVE_MISSING', `There is no readable release archive at ${file}.`, {
      cause,
    });
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) {
      throw new BrambleError('ERR_RELEASE_ARCHIVE_MISSING', `${file} is not a file: give a release archive (.tgz).`);
    }
    // Not by its size alone: files of /proc are said to be empty.
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of handle.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 })) {
      bytes += (piece as Buffer).length;
      if (bytes > maxArchiveBytes) throw malformed(`it is larger than ${maxArchiveBytes} bytes`);
      pieces.push(piece as Buffer);
    }
    return Buffer.concat(pieces, bytes);
  } finally {
    await handle.close();
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') {
    throw error;
  }
}
