import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmod,
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import tar from 'tar-stream';
import { endingWithin } from '../testing/property.ts';
import { installArchive, installRead, openArchive, readArchive, readInstalled, verifyInstalled } from './archive.ts';
import { writeEntries } from './archive-bytes.ts';
import { formatManifest, type Manifest, manifestName } from './manifest.ts';
import { testSigner, writeTestArchive } from './signed-archive-fixture.ts';
import { type Entries, readEntries, sha256 } from './tar-entries.ts';

const commit = 'a'.repeat(40);
const changedCode = { code: 'ERR_RELEASE_ARCHIVE_CHANGED' };
const signatureCode = { code: 'ERR_RELEASE_SIGNATURE' };
const malformedCode = { code: 'ERR_RELEASE_ARCHIVE_MALFORMED' };

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'bramble-archive-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

function release(program = 'console.log(1)', overrides: Partial<Manifest> = {}): Entries {
  const files = new Map([
    ['bramble.mjs', Buffer.from(program)],
    ['sql/001-domain.expand.sql', Buffer.from('select 1;')],
  ]);
  const manifest: Manifest = {
    ...{ format: 1, release: '1.2.0', commit, workingTree: false, schemaVersion: 6, leastSchemaVersion: 6 },
    ...{ linkVersions: [1], features: [], postgres: '18.4.0' },
    files: Object.fromEntries([...files].map(([name, contents]) => [name, sha256(contents)])),
    ...overrides,
  };
  return new Map([...files, [manifestName, Buffer.from(formatManifest(manifest))]]);
}

async function write(folder: string, entries: Entries, name = 'bramble-1.2.0.tgz'): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, await writeEntries(entries));
  return file;
}

test('a pipe that nobody writes to, and a file that says it is empty and has no end, are refused', async (t) => {
  const pipe = path.join(await newFolder(t), 'pipe.tgz');
  execFileSync('mkfifo', [pipe]);
  await assert.rejects(openArchive(pipe), { code: 'ERR_RELEASE_ARCHIVE_MISSING' });
  if (process.platform === 'linux') await assert.rejects(openArchive('/proc/self/pagemap'), malformedCode);
});

test('an installed archive holds exactly its files, and installing it again verifies it', async (t) => {
  const folder = await newFolder(t);
  const file = await write(folder, release());
  assert.equal((await openArchive(file)).release, '1.2.0');
  const installed = await installArchive(file, { home: folder, expectedSha256: sha256(await readFile(file)) });
  assert.equal(installed, path.join(folder, 'releases', '1.2.0'));
  assert.deepEqual((await readdir(installed, { recursive: true })).sort(), [
    ...['bramble.mjs', 'manifest.json', 'sql', 'sql/001-domain.expand.sql'],
  ]);
  assert.deepEqual(await readdir(path.dirname(installed)), ['1.2.0']);
  assert.equal((await verifyInstalled(installed)).commit, commit);
  const again = await Promise.all([installArchive(file, { home: folder }), installArchive(file, { home: folder })]);
  assert.deepEqual(again, [installed, installed]);
});

test('a changed archive is refused: by its digest, by a list beside it, and by the digests in it', async (t) => {
  const folder = await newFolder(t);
  const file = await write(folder, release());
  await assert.rejects(openArchive(file, '0'.repeat(64)), changedCode);
  await writeFile(path.join(folder, 'SHA256SUMS'), `${'1'.repeat(64)}  bramble-1.2.0.tgz\n`);
  await assert.rejects(installArchive(file, { home: folder }), changedCode);
  await rm(path.join(folder, 'SHA256SUMS'));
  const other = release().set('bramble.mjs', Buffer.from('console.log(2)'));
  await assert.rejects(openArchive(await write(folder, other)), changedCode);
  const extra = release().set('sql/002-more.expand.sql', Buffer.from(''));
  await assert.rejects(openArchive(await write(folder, extra)), changedCode);
  const lacking = release();
  lacking.delete('sql/001-domain.expand.sql');
  await assert.rejects(openArchive(await write(folder, lacking)), changedCode);
});

test('an installed release that was changed is refused', async (t) => {
  const folder = await newFolder(t);
  const file = await write(folder, release());
  const installed = await installArchive(file, { home: folder });
  await symlink('/etc/passwd', path.join(installed, 'linked'));
  await assert.rejects(verifyInstalled(installed), changedCode);
  await rm(path.join(installed, 'linked'));
  await writeFile(path.join(installed, 'extra.mjs'), '');
  await assert.rejects(verifyInstalled(installed), changedCode);
  await rm(path.join(installed, 'extra.mjs'));
  await verifyInstalled(installed);
  await chmod(path.join(installed, 'bramble.mjs'), 0o644);
  await writeFile(path.join(installed, 'bramble.mjs'), 'console.log(3)');
  await assert.rejects(verifyInstalled(installed), changedCode);
  // The archive is the original: it is the folder that has to be mended.
  const mendFolder = { ...changedCode, message: new RegExp(`installed in ${installed} .*: move ${installed} aside`) };
  await assert.rejects(installArchive(file, { home: folder }), mendFolder);
  await writeFile(path.join(installed, manifestName), '{}');
  const mendManifest = { ...malformedCode, message: /installed in .* aside and install it again/ };
  await assert.rejects(verifyInstalled(installed), mendManifest);
  await assert.rejects(verifyInstalled(path.join(folder, 'releases', '9.9.9')), { code: 'ERR_RELEASE_NOT_INSTALLED' });
});

test('a sealed release is never replaced, a working tree of the same number is', async (t) => {
  const folder = await newFolder(t);
  const workingTree = { workingTree: true, commit: null, release: '1.3.0' };
  const installed = await installArchive(await write(folder, release('1', workingTree)), { home: folder });
  await installArchive(await write(folder, release('2', workingTree)), { home: folder });
  assert.equal(await readFile(path.join(installed, 'bramble.mjs'), 'utf8'), '2');
  await installArchive(await write(folder, release('1')), { home: folder });
  const other = { ...changedCode, message: /^Another archive of release 1\.2\.0 is already installed.*move it aside/ };
  await assert.rejects(installArchive(await write(folder, release('2')), { home: folder }), other);
});

test('a signature travels with its archive, and what lies beside an installed release is of that one', async (t) => {
  const folder = await newFolder(t);
  const signer = testSigner();
  const file = await writeTestArchive(folder, '1.2.0', { signer });
  const installed = await installArchive(file, { home: folder });
  assert.equal((await readInstalled(installed)).signature?.signer, signer.fingerprint);
  assert.deepEqual(await readdir(path.dirname(installed)), ['1.2.0', '1.2.0.sig']);
  const other = await writeTestArchive(folder, '1.3.0', { signer });
  await writeFile(`${installed}.sig`, await readFile(`${other}.sig`));
  await assert.rejects(readInstalled(installed), signatureCode);
  await installArchive(file, { home: folder });
  assert.equal((await readInstalled(installed)).signature?.release, '1.2.0');
});

test('what is installed is proven without its signature, which an earlier supervisor may not understand', async (t) => {
  const folder = await newFolder(t);
  const file = await writeTestArchive(folder, '1.2.0', { signer: testSigner() });
  const installed = await installArchive(file, { home: folder });
  const signature = await readFile(`${file}.sig`, 'utf8');
  const later = { ...signatureCode, message: /made for a later Bramble: it contains a "bramble release signature 2"/ };
  for (const [text, refusal] of [
    ['', { ...signatureCode, message: /is not valid/ }],
    [signature.replace('signature 1', 'signature 2'), later],
    ['bramble release signature 2\nsomething else\n', later],
    [`bramble release signature 2\n${'x'.repeat(100_000)}\n`, later],
  ] as const) {
    await writeFile(`${installed}.sig`, text);
    assert.equal((await verifyInstalled(installed)).release, '1.2.0');
    await assert.rejects(readInstalled(installed), refusal);
    await writeFile(`${file}.sig`, text);
    await assert.rejects(readArchive(file), refusal);
  }
});

test('files, folders and signature of a release are on the disk before it is installed', async (t) => {
  const folder = await newFolder(t);
  const file = await writeTestArchive(folder, '1.2.0', { signer: testSigner() });
  const synced = new Map<number, number>();
  let syncs = 0;
  const handle = await open(file);
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const original = prototype.sync;
  t.mock.method(prototype, 'sync', async function sync(this: FileHandle) {
    synced.set((await this.stat()).ino, syncs++);
    await original.call(this);
  });
  const installed = await installArchive(file, { home: folder });
  const at = async (name: string) => synced.get((await stat(path.join(installed, name))).ino);
  const contents = ['bramble.mjs', manifestName, 'sql/001-x.expand.sql', 'sql', '', '../1.2.0.sig'];
  const orders = await Promise.all(contents.map(at));
  const last = await at('..');
  assert.equal(last, syncs - 1, 'the folder that holds the names is last');
  for (const [index, order] of orders.entries()) assert.ok(order !== undefined, contents[index] ?? '');
});

test('a signature of another archive, and one that cannot be read, is not the same as none', async (t) => {
  const folder = await newFolder(t);
  const signer = testSigner();
  const file = await writeTestArchive(folder, '1.2.0', { signer });
  const own = await readFile(`${file}.sig`);
  for (const other of [
    await writeTestArchive(folder, '1.3.0', { signer }),
    await writeTestArchive(folder, '1.2.0', { signer, program: '// another' }),
  ]) {
    const foreign = await readFile(`${other}.sig`);
    await writeTestArchive(folder, '1.2.0');
    await writeFile(`${file}.sig`, foreign);
    await assert.rejects(installArchive(file, { home: folder }), signatureCode);
  }
  // The same files packed otherwise: what was signed are the bytes.
  await writeFile(file, gzipSync(gunzipSync(await readFile(file))));
  await writeFile(`${file}.sig`, own);
  await assert.rejects(installArchive(file, { home: folder }), signatureCode);
  await rm(`${file}.sig`);
  await mkdir(`${file}.sig`);
  await assert.rejects(installArchive(file, { home: folder }), signatureCode);
  await rm(`${file}.sig`, { recursive: true });
  execFileSync('mkfifo', [`${file}.sig`]);
  await assert.rejects(installArchive(file, { home: folder }), signatureCode);
  await rm(`${file}.sig`);
  await writeFile(`${file}.sig`, Buffer.alloc(50 * 1024 * 1024));
  await assert.rejects(installArchive(file, { home: folder }), signatureCode);
});

test('what was read is what is installed, though the file is another by then', async (t) => {
  const folder = await newFolder(t);
  const [signer, thief] = [testSigner(), testSigner()];
  const read = await readArchive(await writeTestArchive(folder, '1.2.0', { signer, program: '// good' }));
  await writeTestArchive(folder, '1.2.0', { signer: thief, program: '// bad' });
  const installed = await installRead(read, folder);
  assert.equal(await readFile(path.join(installed, 'bramble.mjs'), 'utf8'), '// good');
  assert.equal((await readInstalled(installed)).signature?.signer, signer.fingerprint);
});

test('whoever dies while installing a signed release leaves none that is not signed', async (t) => {
  const folder = await newFolder(t);
  const signer = testSigner();
  const file = await writeTestArchive(folder, '1.2.0', { signer });
  const installed = path.join(folder, 'releases', '1.2.0');
  const dying = `
    import fs from 'node:fs/promises';
    import { syncBuiltinESMExports } from 'node:module';
    const { rename } = fs;
    let left = Number(process.argv[1]);
    fs.rename = async (from, to) => {
      await rename(from, to);
      if (--left === 0) process.kill(process.pid, 'SIGKILL');
    };
    syncBuiltinESMExports();
    const { installArchive } = await import(${JSON.stringify(pathToFileURL(path.resolve(import.meta.dirname, 'archive.ts')).href)});
    await installArchive(${JSON.stringify(file)}, { home: ${JSON.stringify(folder)} });`;
  let deaths = 0;
  for (let renames = 1; ; renames++) {
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', dying, String(renames)]);
    const found = await readInstalled(installed).catch((error: unknown) => error as Error);
    if ('signature' in found) assert.equal(found.signature?.signer, signer.fingerprint);
    else assert.equal((found as { code?: string }).code, 'ERR_RELEASE_NOT_INSTALLED');
    if (signal === null) break;
    deaths += 1;
    await rm(installed, { recursive: true, force: true });
  }
  assert.ok(deaths >= 2, 'behind its signature, and behind its folder');
  assert.equal((await readInstalled(installed)).signature?.signer, signer.fingerprint);
  await rm(installed, { recursive: true });
  await writeTestArchive(folder, '1.2.0');
  await installArchive(file, { home: folder });
  assert.equal((await readInstalled(installed)).signature, null, 'a signature that was left behind is nobody’s');
});

test('a working tree that replaces another takes that one’s signature away', async (t) => {
  const folder = await newFolder(t);
  await installArchive(await writeTestArchive(folder, '1.3.0', { signer: testSigner() }), { home: folder });
  const installed = await installArchive(await writeTestArchive(folder, '1.3.0', { program: '2' }), { home: folder });
  assert.equal((await readInstalled(installed)).signature, null);
});

test('what is no archive, and archives with links, folders, strange places or another format, are malformed', async (t) => {
  const folder = await newFolder(t);
  const file = path.join(folder, 'strange.tgz');
  const refused = async (bytes: Buffer) => {
    await writeFile(file, bytes);
    await assert.rejects(installArchive(file, { home: folder }), malformedCode);
  };
  const good = await writeEntries(release());
  await refused(Buffer.from('no archive'));
  await refused(good.subarray(0, good.length / 2));
  await refused(gzipSync(Buffer.alloc(129 * 1024 * 1024)));
  await refused(await packed({ name: '../outside', type: 'file' }));
  await refused(await packed({ name: '/outside', type: 'file' }));
  await refused(await packed({ name: 'a/../../outside', type: 'file' }));
  await refused(await packed({ name: 'linked', type: 'symlink', linkname: '/etc/passwd' }));
  await refused(await packed({ name: 'linked', type: 'link', linkname: 'bramble.mjs' }));
  await refused(await packed({ name: 'folder', type: 'directory' }));
  await refused(await writeEntries(new Map([['bramble.mjs', Buffer.from('1')]])));
  await refused(await writeEntries(release('1', { format: 2 as 1 })));
  await refused(await writeEntries(release('1', { release: '../1.0.0' })));
  assert.deepEqual(await readdir(path.join(folder, 'releases')).catch(() => []), []);
  await assert.rejects(openArchive(path.join(folder, 'absent.tgz')), { code: 'ERR_RELEASE_ARCHIVE_MISSING' });
});

test('reading gives back what was written, and the order of writing leaves no trace', async () => {
  const name = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{0,8}(\/[a-z0-9]{1,8})?$/);
  const contents = fc.uint8Array({ maxLength: 70_000, size: 'max' }).map((bytes) => Buffer.from(bytes));
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.tuple(name, contents), { maxLength: 4, selector: ([key]) => key }),
      async (list) => {
        const bytes = await writeEntries(new Map(list));
        assert.deepEqual(await writeEntries(new Map(list.toReversed())), bytes);
        const read = await readEntries(bytes);
        assert.deepEqual(new Map([...read].sort()), new Map(list.toSorted()));
      },
    ),
    { numRuns: 30, ...endingWithin() },
  );
});

async function packed(header: { name: string; type: 'file' | 'symlink' | 'link' | 'directory'; linkname?: string }) {
  const pack = tar.pack();
  const bytes = buffer(pack);
  pack.entry(header, header.type === 'file' ? 'x' : '');
  pack.finalize();
  return gzipSync(await bytes);
}
