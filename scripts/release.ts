/**
 * `npm run release`: builds the archive of a release, seals it, signs it, or verifies that a sealed one is what its commit builds.
 *
 * A commit is always built by that commit's own recipe: this file as it was then.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseRelease } from '../src/base/release-number.ts';
import { openArchive } from '../src/release/archive.ts';
import { patchDifferences } from '../src/release/patch-rule.ts';
import { signatureSuffix } from '../src/release/signature.ts';
import { fingerprintOf } from '../src/release/signer-fingerprint.ts';
import { sha256 } from '../src/release/tar-entries.ts';
import { buildRelease } from './release-build.ts';
import { signArchive } from './release-signing.ts';
import { readOptions } from './script-options.ts';
import { readSigningKey } from './signing-key.ts';
import { copyTree } from './tree-copy.ts';

const checkout = path.dirname(import.meta.dirname);
const usage = `npm run release [-- <options>]
  (none)                 builds bramble-<release>.tgz of the working tree
  --commit REV           builds it of a commit
  --commit REV --seal    and lists it in SHA256SUMS beside it; a patch that changes what a patch must not is refused
  --number RELEASE       builds the working tree under another number, to try an upgrade with
  --out DIR              where to (default: build)
  --verify ARCHIVE       builds a sealed archive again from its commit, and compares the bytes
  --sign-key PATH        signs what was built: a file .sig beside it (\`npm run release-key\` makes the key)
  --sign ARCHIVE         signs one that was built before, with --sign-key
  --rotation FILE        statements that lead to this key, put into the .sig; more than once if need be`;
const { values } = readOptions(usage, {
  options: {
    commit: { type: 'string' },
    out: { type: 'string', default: path.join(checkout, 'build') },
    verify: { type: 'string' },
    seal: { type: 'boolean', default: false },
    number: { type: 'string' },
    sign: { type: 'string' },
    'sign-key': { type: 'string' },
    rotation: { type: 'string', multiple: true, default: [] },
    // What this script passes to its like of another commit: the tree that it lies in is that commit's.
    'as-commit': { type: 'string' },
  },
});

// Before anything is built: a key that is refused is refused at once.
const signer = values['sign-key'] === undefined ? undefined : readSigningKey(values['sign-key']);
if (signer === undefined && (values.sign !== undefined || values.rotation.length > 0)) {
  throw new Error('--sign and --rotation need --sign-key PATH: the private key to sign with.');
}
if (values.verify !== undefined) {
  await verify(path.resolve(values.verify));
} else if (values.sign !== undefined) {
  await signed(path.resolve(values.sign));
} else if (values.commit !== undefined) {
  const out = path.resolve(values.out);
  if (values.seal) await sealable(values.commit, out);
  await signed(sealOrKeep(buildCommit(values.commit, out)));
} else if (values.number !== undefined) {
  await signed(await buildNumbered(values.number, path.resolve(values.out)));
} else {
  const built = await buildRelease({ tree: checkout, commit: values['as-commit'] ?? null });
  await signed(writeArchive(path.resolve(values.out), built.name, built.archive));
}

/** Prints the archive's path; the signer is told on the error stream, so that the path alone can be read by a program. */
async function signed(archive: string): Promise<void> {
  if (signer !== undefined) {
    await signArchive(archive, signer, values.rotation);
    console.error(`signed by ${fingerprintOf(signer.publicKey)}`);
  }
  console.log(archive);
}

async function buildNumbered(release: string, out: string): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bramble-release-'));
  try {
    await copyTree(checkout, path.join(folder, 'tree'), release);
    const { name, archive } = await buildRelease({ tree: path.join(folder, 'tree'), commit: null });
    return writeArchive(out, name, archive);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Builds a commit in a temporary folder; returns the archive's path. */
function buildCommit(revision: string, out: string): string {
  const commit = git('rev-parse', '--verify', `${revision}^{commit}`).toString('utf8').trim();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bramble-release-'));
  try {
    const tree = path.join(folder, 'tree');
    mkdirSync(tree);
    execFileSync('tar', ['-x', '-C', tree], { input: git('archive', commit) });
    provideModules(tree);
    const script = path.join(tree, 'scripts', 'release.ts');
    const output = execFileSync(process.execPath, [script, '--as-commit', commit, '--out', path.join(folder, 'out')]);
    const built = output.toString('utf8').trim();
    return writeArchive(out, path.basename(built), readFileSync(built));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The present modules where the lock file is the same, otherwise the commit's own from the registry. */
function provideModules(tree: string): void {
  const lock = 'package-lock.json';
  if (readFileSync(path.join(tree, lock)).equals(readFileSync(path.join(checkout, lock)))) {
    symlinkSync(path.join(checkout, 'node_modules'), path.join(tree, 'node_modules'));
  } else {
    execFileSync('npm', ['ci', '--ignore-scripts'], { cwd: tree, stdio: ['ignore', 'ignore', 'inherit'] });
  }
}

async function verify(sealed: string): Promise<void> {
  const manifest = await openArchive(sealed);
  if (manifest.commit === null) {
    throw new Error(`${sealed} is an archive of a working tree: there is no commit to build it from again.`);
  }
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bramble-verify-'));
  try {
    const rebuilt = readFileSync(buildCommit(manifest.commit, folder));
    const same = rebuilt.equals(readFileSync(sealed));
    console.log(
      `${path.basename(sealed)} ${same ? 'is' : 'IS NOT'} what commit ${manifest.commit} builds (${sha256(rebuilt)}).`,
    );
    process.exitCode = same ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A patch is built apart first: what may not be sealed does not come to lie beside what is. */
async function sealable(revision: string, out: string): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'bramble-seal-'));
  try {
    const manifest = await openArchive(buildCommit(revision, folder));
    const { major, minor, patch } = parseRelease(manifest.release);
    if (patch === 0) return;
    const before = path.join(out, `bramble-${major}.${minor}.${patch - 1}.tgz`);
    if (!existsSync(before))
      throw new Error(`${manifest.release} is a patch of a release that is not sealed: there is no ${before}.`);
    const differences = patchDifferences(await openArchive(before), manifest);
    if (differences.length > 0) {
      throw new Error(
        `${manifest.release} is not sealed: it is numbered as a patch, and changes what a patch must not. ${differences.join('; ')}. ` +
          `Take these changes back, or number it as the next minor release, ${major}.${minor + 1}.0.`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function sealOrKeep(archive: string): string {
  if (values.seal) {
    const list = path.join(path.dirname(archive), 'SHA256SUMS');
    const name = path.basename(archive);
    const lines = (existsSync(list) ? readFileSync(list, 'utf8') : '').split('\n').filter((line) => line !== '');
    const line = `${sha256(readFileSync(archive))}  ${name}`;
    const listed = lines.find((other) => other.endsWith(`  ${name}`));
    if (listed !== undefined && listed !== line) {
      throw new Error(`${name} is sealed already with another digest, and a sealed release is never changed.`);
    }
    writeFileSync(list, `${[...new Set([...lines, line])].sort().join('\n')}\n`);
  }
  return archive;
}

function writeArchive(out: string, name: string, archive: Buffer): string {
  const file = path.join(out, name);
  mkdirSync(out, { recursive: true });
  // A signature of other bytes would make the new archive unusable.
  if (existsSync(file) && !readFileSync(file).equals(archive)) rmSync(`${file}${signatureSuffix}`, { force: true });
  writeFileSync(`${file}.draft`, archive);
  renameSync(`${file}.draft`, file);
  return file;
}

function git(...args: string[]): Buffer {
  return execFileSync('git', args, { cwd: checkout, maxBuffer: 1024 * 1024 * 1024 });
}
