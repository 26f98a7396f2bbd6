/** The file of a backup: it reads back what was written, and anything else is refused. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { createBackupFile, openBackup, readBackupHead } from './backup-file.ts';
import { fileNameOf, listBackups, removeOldBackups, removeUnverified } from './backup-folder.ts';
import type { BackupHead } from './manifest.ts';
import { newBackupKeys } from './passphrase-key.ts';

const folder = await mkdtemp(join(tmpdir(), 'bramble-backup-file-'));
after(async () => await rm(folder, { recursive: true, force: true }));

const passphrase = 'correct horse battery staple';
const { facts, keys } = await newBackupKeys(passphrase);
const head: BackupHead = {
  format: 1,
  id: '3b241101-e2bb-4255-8caf-4136c566a962',
  takenAt: '2026-11-27T08:00:00.000Z',
  domain: {
    id: '6ecd8c99-4036-403d-bf84-cf8400f67836',
    ...{
      name: 'Example',
      publicUrl: 'https://127.0.0.1:8443',
      release: '1.4.0',
      schemaVersion: 23,
      featureLevel: '1.4.0',
    },
  },
  madeBy: { release: '1.4.0', user: 'ada', host: 'here' },
  key: facts,
};
const rows = randomBytes(1500);
const manifest = { migrations: [], tables: [], sequences: [] };

async function write(name: string): Promise<{ path: string; sha256: string }> {
  const path = join(folder, name);
  const file = await createBackupFile(path, head, keys);
  await file.add('home', Buffer.from('{}'));
  await file.add('tables/account/000001', rows);
  await file.add('tables/account/000002', Buffer.alloc(9 * 1024 * 1024, 'a\n'));
  return { path, sha256: await file.finish(manifest) };
}

const { path, sha256 } = await write('good.backup');
const whole = await readFile(path);

test('what was written is read again, for the passphrase and nothing else', async () => {
  const backup = await openBackup(path, passphrase);
  assert.deepEqual([backup.head, backup.sha256], [head, sha256]);
  const parts: { name: string; plain: Buffer }[] = [];
  for await (const part of backup.parts()) parts.push(part);
  assert.deepEqual(
    parts.map(({ name, plain }) => [name, plain.length]),
    [
      ['home', 2],
      ['tables/account/000001', 1500],
      ['tables/account/000002', 9 * 1024 * 1024],
    ],
  );
  assert.deepEqual(parts[1]?.plain, rows);
  assert.equal(whole.includes(rows.subarray(0, 16)), false, 'rows are encrypted');
  await assert.rejects(openBackup(path, `${passphrase}.`), { code: 'ERR_BACKUP_PASSPHRASE' });
  assert.deepEqual(await readBackupHead(path), head);
  await assert.rejects(newBackupKeys('elevenchars'), { code: 'ERR_BACKUP_PASSPHRASE' });
});

test('a file that is cut short anywhere, or changed anywhere, is refused', async () => {
  const damaged = join(folder, 'damaged.backup');
  const refused = async (contents: Buffer, what: string) => {
    await writeFile(damaged, contents);
    const codes = ['ERR_BACKUP_FILE', 'ERR_BACKUP_PASSPHRASE'];
    await assert.rejects(
      openBackup(damaged, passphrase),
      (error: { code?: string }) => codes.includes(error.code ?? ''),
      what,
    );
  };
  // The last two blocks are the archive's end, and hold nothing.
  const meaningful = whole.length - 1024;
  for (const share of [0, 0.01, 0.5, 0.99]) {
    const length = Math.floor(meaningful * share);
    await refused(whole.subarray(0, length), `cut to ${length}`);
  }
  // A header of 512 bytes comes before the contents, which begin with a byte that is none of the filling.
  for (const [what, text] of [
    ['the head', '"name": "Example"'],
    ['a name', 'tables/account/000001'],
    ['the manifest', '"migrations": []'],
  ] as const) {
    const other = Buffer.from(whole);
    other[whole.indexOf(text) + text.length - 4] = 0x41;
    await refused(other, `${what} changed`);
  }
  for (const name of ['home', 'tables/account/000002', 'manifest.mac']) {
    const other = Buffer.from(whole);
    const at = whole.lastIndexOf(Buffer.from(`${name}\0`)) + 512;
    other[at] = (whole[at] ?? 0) ^ 1;
    await refused(other, `${name} changed`);
  }
  await refused(Buffer.concat([whole.subarray(0, 2048), whole.subarray(4096)]), 'a part is missing');
});

test('a file that is there is not overwritten, and one that is given up leaves nothing', async () => {
  await assert.rejects(write('good.backup'), { code: 'ERR_BACKUP_TARGET' });
  const file = await createBackupFile(join(folder, 'given-up.backup'), head, keys);
  await file.add('home', rows);
  await file.abandon();
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.includes('given-up')),
    [],
  );
  const rival = await createBackupFile(join(folder, 'rival.backup'), head, keys);
  await writeFile(join(folder, 'rival.backup'), 'mine');
  await assert.rejects(rival.finish(manifest), { code: 'ERR_BACKUP_TARGET' });
  assert.equal(await readFile(join(folder, 'rival.backup'), 'utf8'), 'mine');
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.endsWith('.part')),
    [],
  );
});

test('a disk that fills up in the middle stops it, and nothing is left', async () => {
  const program = `
    import { createBackupFile } from ${JSON.stringify(join(import.meta.dirname, 'backup-file.ts'))};
    import { newBackupKeys } from ${JSON.stringify(join(import.meta.dirname, 'passphrase-key.ts'))};
    import { randomBytes } from 'node:crypto';
    process.on('SIGXFSZ', () => {});
    const { facts, keys } = await newBackupKeys('a passphrase of the test');
    const file = await createBackupFile(${JSON.stringify(join(folder, 'large.backup'))}, { key: facts }, keys);
    try {
      for (let part = 0; part < 64; part++) await file.add('tables/a/' + part, randomBytes(256 * 1024));
      await file.finish({ migrations: [], tables: [], sequences: [] });
    } catch (error) {
      await file.abandon();
      console.log(error.code);
    }`;
  const limited = ['-c', 'ulimit -f 2048 && exec "$0" "$@"', process.execPath, '--input-type=module', '-e', program];
  const { stdout } = await promisify(execFile)('sh', limited, { timeout: 60_000 });
  assert.equal(stdout.trim(), 'ERR_BACKUP_WRITE');
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.includes('large')),
    [],
  );
});

test('of what was written nothing stays in memory', async () => {
  const program = `
    import { createBackupFile } from ${JSON.stringify(join(import.meta.dirname, 'backup-file.ts'))};
    import { newBackupKeys } from ${JSON.stringify(join(import.meta.dirname, 'passphrase-key.ts'))};
    import { randomBytes } from 'node:crypto';
    const { facts, keys } = await newBackupKeys('a passphrase of the test');
    const file = await createBackupFile(${JSON.stringify(join(folder, 'flat.backup'))}, { key: facts }, keys);
    for (let part = 0; part < 40; part++) await file.add('tables/a/' + part, randomBytes(1024 * 1024));
    const heldMiB = () => process.memoryUsage().arrayBuffers / 1024 / 1024;
    // Buffers are let go beside the program, after a collection.
    for (let round = 0; round < 100 && heldMiB() > 10; round++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    console.log(heldMiB());
    await file.abandon();`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', '--input-type=module', '-e', program],
    { timeout: 60_000 },
  );
  assert.ok(Number(stdout) <= 10, `${stdout.trim()} MiB after 40 MiB were written`);
});

test('of the backups that a host made of a domain the newest stay, and whatever else is there', async () => {
  const shelf = await mkdtemp(join(folder, 'shelf-'));
  const add = async (name: string, day: number, change: Partial<BackupHead> = {}) => {
    const takenAt = `2026-11-0${day}T08:00:00.000Z`;
    const added = { ...head, id: randomUUID(), takenAt, ...change };
    const file = await createBackupFile(join(shelf, name), added, keys);
    await file.finish(manifest);
    return added;
  };
  const there = { madeBy: { ...head.madeBy, host: 'there' } };
  await add('second.backup', 2);
  const made = await add('fourth.backup', 4);
  await add('first.backup', 1);
  await add('third.backup', 3);
  await add('other.backup', 1, { domain: { ...head.domain, id: '00000000-0000-4000-8000-000000000000' } });
  await add('there.backup', 1, there);
  await add('there.backup.unverified', 5, there);
  await add('fifth.backup.unverified', 5);
  const tried = await add('sixth.backup.unverified', 6);
  await writeFile(join(shelf, 'notes.backup'), 'no backup');
  const removed = await removeOldBackups(shelf, made, 2);
  assert.deepEqual(removed, [join(shelf, 'second.backup'), join(shelf, 'first.backup')]);
  const left = (await listBackups(shelf)).map(({ file }) => basename(file));
  assert.deepEqual(left.slice(0, 2), ['fourth.backup', 'third.backup']);
  assert.deepEqual(left.slice(2).sort(), ['other.backup', 'there.backup']);
  await removeUnverified(shelf, tried);
  const unverified = (await readdir(shelf)).filter((name) => name.endsWith('.unverified')).sort();
  assert.deepEqual(unverified, ['sixth.backup.unverified', 'there.backup.unverified']);
  assert.equal(await readFile(join(shelf, 'notes.backup'), 'utf8'), 'no backup');
});

test('the one just made stays, though a clock that was ahead has dated another one later', async () => {
  const shelf = await mkdtemp(join(folder, 'shelf-'));
  const add = async (name: string, takenAt: string) => {
    const added = { ...head, id: randomUUID(), takenAt };
    await (await createBackupFile(join(shelf, name), added, keys)).finish(manifest);
    return added;
  };
  await add('ahead.backup', '2027-05-01T00:00:00.000Z');
  await add('before.backup', '2026-11-26T08:00:00.000Z');
  const made = await add('made.backup', '2026-11-27T08:00:00.000Z');
  assert.deepEqual(await removeOldBackups(shelf, made, 2), [join(shelf, 'before.backup')]);
  assert.deepEqual(await removeOldBackups(shelf, made, 1), [join(shelf, 'ahead.backup')]);
  assert.deepEqual(await readdir(shelf), ['made.backup']);
});

test('hosts that share a folder name their backups apart, also within one second', () => {
  const there = { ...head, madeBy: { ...head.madeBy, host: 'Büro 2.example' } };
  assert.equal(fileNameOf(head), 'example-here-20261127T080000Z.backup');
  assert.equal(fileNameOf(there), 'example-b-ro-2-example-20261127T080000Z.backup');
});

test('what is called a backup and is a pipe is passed over', async () => {
  const piped = join(folder, 'piped');
  await mkdir(piped);
  await promisify(execFile)('mkfifo', [join(piped, 'x.backup')]);
  assert.deepEqual(await listBackups(piped), []);
  await assert.rejects(readBackupHead(join(piped, 'x.backup')), { code: 'ERR_BACKUP_FILE' });
});

test('a signed manifest of a form to come is refused as one', async () => {
  const path = join(folder, 'to-come.backup');
  const file = await createBackupFile(path, head, keys);
  await file.finish({ migrations: 'all' } as unknown as typeof manifest);
  await assert.rejects(openBackup(path, passphrase), { code: 'ERR_BACKUP_FILE', message: /manifest is of a form/ });
});

test('a folder that is not there is named', async () => {
  const written = async () => {
    const file = await createBackupFile(join(folder, 'missing', 'a.backup'), head, keys);
    await file.finish(manifest);
  };
  await assert.rejects(written, { code: 'ERR_BACKUP_WRITE', message: /there is no folder .*missing\. Make it/ });
});
