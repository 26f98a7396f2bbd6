/** The recipe on a small tree: it is a git repository of its own, with this checkout's scripts and modules. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { parseRelease } from '../src/base/release-number.ts';
import { componentKinds } from '../src/registry/components.ts';
import { installArchive, openArchive, readArchive } from '../src/release/archive.ts';
import { thisRelease } from '../src/release/this-release.ts';

const run = promisify(execFile);
const checkout = path.dirname(import.meta.dirname);
const program = `import pino from 'pino';
import { migrationFolder } from '../release/program.ts';
console.log(JSON.stringify({ logger: typeof pino, migrations: migrationFolder() }));
`;

const shapes = `import { z } from 'zod';
export const storedShapes = { 'setting small': z.object({ most: z.number().int() }) };
`;

const { major, minor } = parseRelease(thisRelease.release);
const number = (patch: number) => `${major}.${minor}.${patch}`;

async function renumber(tree: string, patch: number): Promise<void> {
  for (const [file, find, replace] of [
    ['src/release/this-release.ts', /release: '[^']*'/, `release: '${number(patch)}'`],
    ['package.json', /"version":"[^"]*"/, `"version":"${number(patch)}"`],
  ] as const) {
    const text = await readFile(path.join(tree, file), 'utf8');
    await writeFile(path.join(tree, file), text.replace(find, replace));
  }
}

/** A release that is no patch, whatever the working tree's is. */
async function smallTree(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'bramble-tree-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  const tree = path.join(folder, 'somewhere');
  await mkdir(path.join(tree, 'src', 'cli'), { recursive: true });
  await mkdir(path.join(tree, 'sql'));
  for (const part of ['src/api', 'src/base', 'src/release', 'src/console', 'scripts', 'package-lock.json']) {
    await cp(path.join(checkout, part), path.join(tree, part), { recursive: true });
  }
  const packageFile: unknown = JSON.parse(await readFile(path.join(checkout, 'package.json'), 'utf8'));
  await writeFile(path.join(tree, 'package.json'), JSON.stringify(packageFile));
  await renumber(tree, 0);
  await writeFile(path.join(tree, 'src', 'cli', 'main.ts'), program);
  await writeFile(path.join(tree, 'scripts', 'stored-shapes.ts'), shapes);
  await writeFile(path.join(tree, 'sql', '001-first.expand.sql'), 'select 1;\n');
  await writeFile(path.join(tree, '.gitignore'), 'node_modules\n');
  await symlink(path.join(checkout, 'node_modules'), path.join(tree, 'node_modules'));
  await run('git', ['init', '--quiet'], { cwd: tree });
  await commit(tree);
  return tree;
}

async function commit(tree: string): Promise<void> {
  const author = ['-c', 'user.name=test', '-c', 'user.email=test@example.org'];
  await run('git', ['add', '.'], { cwd: tree });
  await run('git', [...author, 'commit', '--allow-empty', '--quiet', '--message', 'a release'], { cwd: tree });
}

async function release(tree: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [path.join(tree, 'scripts', 'release.ts'), ...args], { cwd: tree });
  return stdout.trim();
}

test('a sealed commit builds to the same bytes in another folder, runs when installed, and is verified', async (t) => {
  const tree = await smallTree(t);
  const sealed = await release(tree, '--commit', 'HEAD', '--out', path.join(tree, 'releases'), '--seal');
  const again = await release(tree, '--commit', 'HEAD', '--out', path.join(tree, 'again'));
  assert.deepEqual(await readFile(again), await readFile(sealed));
  assert.equal((await readFile(sealed)).includes(path.basename(path.dirname(tree))), false);
  assert.equal((await readFile(sealed)).includes(checkout), false);
  assert.match(
    await readFile(path.join(tree, 'releases', 'SHA256SUMS'), 'utf8'),
    /^[0-9a-f]{64} {2}bramble-\S+\.tgz\n$/,
  );
  assert.match(await release(tree, '--verify', sealed), / is what commit /);

  const manifest = await openArchive(sealed);
  assert.deepEqual([manifest.workingTree, manifest.commit?.length], [false, 40]);
  const installed = await installArchive(sealed, { home: path.join(tree, 'home') });
  const { stdout } = await run(process.execPath, [path.join(installed, 'bramble.mjs')], { cwd: '/' });
  assert.deepEqual(JSON.parse(stdout), { logger: 'function', migrations: path.join(installed, 'sql') });
});

test('a key from elsewhere signs what is built or was built before, and one that is not safe is refused', async (t) => {
  const tree = await smallTree(t);
  const keys = path.dirname(tree);
  const key = async (...args: string[]) =>
    (await run(process.execPath, [path.join(tree, 'scripts', 'release-key.ts'), ...args], { cwd: tree })).stdout;
  const [old, next] = [path.join(keys, 'old.pem'), path.join(keys, 'next.pem')];
  const [oldSigner, nextSigner] = [(await key('new', old)).slice(7).trim(), (await key('new', next)).slice(7).trim()];
  assert.equal((await key('show', old)).slice(7).trim(), oldSigner);
  assert.equal((await stat(old)).mode & 0o777, 0o600);
  await assert.rejects(key('new', old), /EEXIST/);

  const archive = await release(tree, '--out', path.join(keys, 'out'), '--sign-key', old);
  assert.equal((await readArchive(archive)).signature?.signer, oldSigner);
  const statement = path.join(keys, 'rotation');
  await writeFile(statement, await key('follow', old, nextSigner));
  await release(tree, '--sign', archive, '--sign-key', next, '--rotation', statement);
  const { signature } = await readArchive(archive);
  assert.deepEqual([signature?.signer, signature?.rotations], [nextSigner, [{ from: oldSigner, to: nextSigner }]]);
  await assert.rejects(release(tree, '--sign', archive, '--sign-key', old, '--rotation', statement), /end with/);
  await assert.rejects(release(tree, '--sign', archive), /need --sign-key/);

  const inside = path.join(tree, 'key.pem');
  await assert.rejects(key('new', inside), /lies in the repository/);
  await cp(old, inside);
  const link = path.join(keys, 'link.pem');
  await symlink(inside, link);
  for (const file of [inside, link]) {
    await assert.rejects(release(tree, '--sign', archive, '--sign-key', file), /lies in the repository/);
  }
  await chmod(old, 0o640);
  await assert.rejects(release(tree, '--sign', archive, '--sign-key', old), /is not for you alone/);
  await chmod(old, 0o600);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(old, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await assert.rejects(release(tree, '--sign', archive, '--sign-key', old), /is not an Ed25519 key/);
});

test('a working tree builds as such, and a release number that differs from the package is refused', async (t) => {
  const tree = await smallTree(t);
  const manifest = await openArchive(await release(tree, '--out', path.join(tree, 'build')));
  assert.deepEqual([manifest.workingTree, manifest.commit], [true, null]);
  await writeFile(path.join(tree, 'package.json'), JSON.stringify({ version: '7.0.0', type: 'module' }));
  await assert.rejects(release(tree), /package\.json says 7\.0\.0/);
});

test('a patch is sealed where it changes no schema, feature or stored shape, and is refused with each of them otherwise', async (t) => {
  const tree = await smallTree(t);
  const sealed = path.join(tree, 'releases');
  const seal = async (patch: number, changes: Readonly<Record<string, string>>) => {
    await renumber(tree, patch);
    for (const [file, text] of Object.entries(changes)) await writeFile(path.join(tree, file), text);
    await commit(tree);
    return await release(tree, '--commit', 'HEAD', '--out', sealed, '--seal');
  };
  await seal(0, {});
  await seal(1, { 'src/cli/main.ts': `${program}// mended` });
  const other = shapes.replace('z.number().int()', 'z.string()');
  const refused = seal(2, { 'scripts/stored-shapes.ts': other, 'sql/002-second.expand.sql': 'select 2;' });
  await assert.rejects(refused, (error: Error) => {
    assert.match(
      error.message,
      /the migration 002-second\.expand\.sql is added; the stored shape setting small is another/,
    );
    return true;
  });
  assert.deepEqual((await readdir(sealed)).sort(), [
    'SHA256SUMS',
    ...[0, 1].map((patch) => `bramble-${number(patch)}.tgz`),
  ]);
});

/** Of the release before, which the expansion took over: only a copy of its domain is prepared by it. */
const formerSettings = ['routers'];

test('every setting that the domain stores is among the shapes that a patch must not change', async () => {
  const { storedShapes } = await import('./stored-shapes.ts');
  const files = (await readdir(path.join(checkout, 'src'), { recursive: true })).filter((name) =>
    /(?<!test|fixture)\.ts$/.test(name),
  );
  const keys = new Set<string>();
  for (const file of files) {
    const text = await readFile(path.join(checkout, 'src', file), 'utf8');
    for (const [, key = ''] of text.matchAll(/(?:read|write)Setting\(\s*\w+,\s*'([^']+)'/g)) keys.add(key);
    if (/(?:read|write)Setting\(\s*\w+,\s*settingKey/.test(text))
      keys.add(/settingKey = '([^']+)'/.exec(text)?.[1] ?? file);
  }
  assert.ok(keys.size >= 5, [...keys].join(', '));
  assert.deepEqual(
    [...keys].filter((key) => !formerSettings.includes(key) && !(`setting ${key}` in storedShapes)),
    [],
  );
});

/** Columns of JSON that are not compared: what reads them depends on nothing that a release puts in. */
const leftOut: Readonly<Record<string, string>> = {
  'audit_record.detail': 'sealed and shown as it is',
  'command.answer': 'what the device said, and how often it could not be read',
  'device.inventory': 'what the device said',
  'device.options': 'what the device said',
  'event.detail': 'for people',
  'sign_in_challenge.data': 'lives for minutes, within one release',
  'upgrade_event.detail': 'for people; looked at is only whether a gate said something',
};

test('every column and file of JSON, and the settings of every kind of process, are among these shapes', async () => {
  const { storedShapes } = await import('./stored-shapes.ts');
  const isListed = (place: string) =>
    Object.keys(storedShapes).some((name) => name === place || name.startsWith(`${place} `));
  const columns = new Set<string>();
  for (const file of await readdir(path.join(checkout, 'sql'))) {
    const text = await readFile(path.join(checkout, 'sql', file), 'utf8');
    for (const [, table, body = ''] of text.matchAll(/^create table (\w+) \(\n(.*?)^\)/gms)) {
      for (const [, column] of body.matchAll(/^ +(\w+) +jsonb\b/gm)) columns.add(`${table}.${column}`);
    }
    for (const [, table, body = ''] of text.matchAll(/^alter table (\w+)(.*?);/gms)) {
      for (const [, column] of body.matchAll(/add column (\w+) +jsonb\b/g)) columns.add(`${table}.${column}`);
    }
  }
  assert.ok(columns.size >= 12, [...columns].join(', '));
  const unlisted = [...columns].filter((column) => !isListed(column === 'setting.value' ? 'setting' : column));
  assert.deepEqual(unlisted.sort(), Object.keys(leftOut));
  assert.deepEqual(
    componentKinds.filter((kind) => !isListed(`desired_process.settings ${kind}`)),
    [],
  );

  const list = await readFile(path.join(checkout, 'scripts', 'stored-shapes.ts'), 'utf8');
  const names = [...list.matchAll(/import \{([^}]*)\}/g)].flatMap(([, inner = '']) => inner.match(/\w+/g) ?? []);
  // The first is npm's file, the second an operator's.
  const others = ['database/embedded/binaries.ts', 'cli/arguments.ts'];
  const readers: string[] = [];
  for (const file of await readdir(path.join(checkout, 'src'), { recursive: true })) {
    if (!/(?<!test|fixture)\.ts$/.test(file) || /^(simulator|testing)\//.test(file) || others.includes(file)) continue;
    const text = await readFile(path.join(checkout, 'src', file), 'utf8');
    if (/JSON\.parse\(/.test(text) && /(readFile|readPresent)\(/.test(text)) readers.push(file);
    else continue;
    assert.ok(
      names.some((name) => new RegExp(`\\b${name}\\b`).test(text)),
      `${file} reads JSON from a file of a shape that is not listed`,
    );
  }
  assert.ok(readers.length >= 8, readers.join(', '));
});
